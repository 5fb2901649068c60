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

from cgan_runtime.inference.session import failed_run
from cgan_runtime.inference.session_pool import SessionPool
from cgan_runtime.model_file.contract import IMAGE, LABEL, NOISE, ModelInfo
from cgan_runtime.noise import fill, fill_noise_one

AHEAD = 32  # images whose noise is made at once, when a call goes on where the last one ended


class SingleImagePath:
    """Draws one image a call on the CPU; each thread that calls it has tensors of its own.

    Args:
        sessions: on the CPU provider.
        info: of its model.
        source: the model's name, for messages.
    """

    def __init__(self, sessions: SessionPool, info: ModelInfo, source: str) -> None:
        self._sessions, self._info, self._source = sessions, info, source
        self._mine = local()

    def draw(self, label: int, seed: int, index: int) -> NDArray[np.uint8]:
        """Return image number index of a seed, uint8 [1, 1, height, width].

        Args:
            label: 0 <= label < classes.
            seed: and index, as check_seed_and_start() returns them.
            index: of the image.

        Raises:
            ModelError: the graph cannot be computed.
        """
        try:
            tensors: _Tensors = self._mine.tensors
        except AttributeError:
            tensors = self._mine.tensors = _Tensors(self._sessions.of(1), self._info)
        tensors.set(label, seed, index)
        try:
            tensors.run(tensors.binding)
        except Exception as error:  # onnxruntime's exceptions share no base but this one
            raise failed_run(error, self._source) from error
        return tensors.image.copy()


class _Tensors:
    """What one thread draws in."""

    def __init__(self, session: Any, info: ModelInfo) -> None:
        self.noise = np.zeros((1, info.noise_dim), np.float32)
        self._noise = self.noise[0]
        self.label = np.zeros(1, np.int64)
        self.image = np.zeros((1, 1, info.height, info.width), np.uint8)
        self.run, self.binding = session.run_with_iobinding, session.io_binding()
        for name, array in ((NOISE, self.noise), (LABEL, self.label)):
            self.binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, _address(array))
        image = self.image
        self.binding.bind_output(IMAGE, "cpu", 0, image.dtype.type, image.shape, _address(image))
        self.ahead = np.zeros((AHEAD, info.noise_dim), np.float32)
        self.first = -AHEAD  # index of the first image whose noise lies ahead; of none at first
        self.seed = self.next = -1  # where a call would go on

    def set(self, label: int, seed: int, index: int) -> None:
        """Let the inputs be those of an image."""
        self.label[0] = label
        if seed == self.seed and index == self.next:
            row = index - self.first
            if row >= AHEAD:
                fill(self.ahead, seed, index)
                self.first, row = index, 0
            self._noise[:] = self.ahead[row]
        else:
            self.first = -AHEAD
            fill_noise_one(self._noise, seed, index)
        self.seed, self.next = seed, index + 1


def _address(array: NDArray[Any]) -> int:
    return int(array.ctypes.data)
