"""One image at a call, in tensors that are set up once.

At each run onnxruntime looks its inputs up by name, checks them, and makes new outputs, which for a
single image takes half as long as the network itself. Tensors that are bound once spare it that.
And who draws image after image of a seed, one a call, gets noise that was made in bulk: thirty-two
cost little more than one (docs/design/0010).
"""

from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cgan_runtime.contract import IMAGE, LABEL, NOISE, ModelInfo
from cgan_runtime.noise import fill

AHEAD = 32  # images whose noise is made at once, when a call goes on where the last one ended


class SingleImage(local):
    """Draws one image a call on the CPU; each thread that calls it gets tensors of its own.

    Args:
        session: on the CPU provider.
        info: of its model.
    """

    def __init__(self, session: Any, info: ModelInfo) -> None:
        self._session = session
        self._noise = np.empty((1, info.noise_dim), np.float32)
        self._label = np.empty(1, np.int64)
        self._ahead = np.empty((AHEAD, info.noise_dim), np.float32)
        self._origin: tuple[int, int] | None = None  # seed, and index of the first, of these
        self._expected: tuple[int, int] | None = None  # what goes on where the last call ended
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
        """
        self._find_noise(seed, index)
        self._label[:] = label
        self._session.run_with_iobinding(self._binding)
        return self._image.copy()

    def _find_noise(self, seed: int, index: int) -> None:
        """Let self._noise be that of an image."""
        if self._expected == (seed, index) and not self._is_ahead(seed, index):
            self._origin = None  # until all is there
            fill(self._ahead, seed, index)
            self._origin = (seed, index)
        if self._origin is not None and self._is_ahead(seed, index):
            self._noise[0] = self._ahead[index - self._origin[1]]
        else:
            fill(self._noise, seed, index)
        self._expected = (seed, index + 1)

    def _is_ahead(self, seed: int, index: int) -> bool:
        origin = self._origin
        return origin is not None and origin[0] == seed and 0 <= index - origin[1] < AHEAD
