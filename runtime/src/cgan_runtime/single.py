"""One image at a call, in tensors that are set up once.

At each run onnxruntime looks its inputs up by name, checks them, and makes new outputs, which for a
single image takes half as long as the network itself. Tensors that are bound once spare it that
(docs/design/0010).
"""

from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cgan_runtime.contract import IMAGE, LABEL, NOISE, ModelInfo
from cgan_runtime.noise import fill
from cgan_runtime.session import failed_run


class SingleImage(local):
    """Draws one image a call on the CPU; each thread that calls it gets tensors of its own.

    Args:
        session: on the CPU provider.
        info: of its model.
        source: the model's name, for messages.
    """

    def __init__(self, session: Any, info: ModelInfo, source: str) -> None:
        self._session, self._source = session, source
        self._noise = np.empty((1, info.noise_dim), np.float32)
        self._label = np.empty(1, np.int64)
        self._image = np.empty((1, 1, info.height, info.width), np.uint8)
        self._binding = session.io_binding()
        for name, array in ((NOISE, self._noise), (LABEL, self._label)):
            self._binding.bind_input(
                name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data
            )
        image = self._image
        self._binding.bind_output(IMAGE, "cpu", 0, image.dtype.type, image.shape, image.ctypes.data)

    def draw(self, label: NDArray[np.int64], seed: int, index: int) -> NDArray[np.uint8]:
        """Return image number index of a seed, uint8 [1, 1, height, width].

        Args:
            label: int64 [1], 0 <= label < classes.
            seed: and index, as checked_origin() returns them.
            index: of the image.

        Raises:
            ModelError: the graph cannot be computed.
        """
        fill(self._noise, seed, index)
        self._label[:] = label
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # onnxruntime's exceptions share no base but this one
            raise failed_run(error, self._source) from error
        return self._image.copy()
