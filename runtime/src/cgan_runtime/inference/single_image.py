"""A fast path for one image per call, with onnxruntime's IO binding.

A normal run looks up the inputs by name, checks them and allocates the outputs. For a single image,
this takes half as long as the network itself. Tensors that are bound once avoid this work. The
noise of 32 images takes little longer to compute than the noise of one image, so it is prefetched
for a caller that generates consecutive images of a seed (docs/design/0010).
"""

from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cgan_runtime.errors import raised_by_user_code
from cgan_runtime.inference.forks import abandon_after_fork
from cgan_runtime.inference.native_errors import convert_run_error, is_native
from cgan_runtime.inference.session_pool import SessionPool
from cgan_runtime.model_file.contract import IMAGE, LABEL, NOISE, ModelInfo
from cgan_runtime.noise import fill_noise

PREFETCHED = 32  # number of images whose noise is computed at once


class _Idle(local):
    """The tensors of the current thread that no call uses."""

    def __init__(self) -> None:
        self.tensors: list[_BoundTensors] = []


class SingleImageGenerator:
    """Generates one image per call on the CPU. Each calling thread has its own tensors.

    A call removes tensors from the thread's list, and puts them back when the image is complete. So
    a signal handler that generates an image during the call uses different tensors. If an exception
    ends the call, its tensors are not used again.
    """

    def __init__(self, sessions: SessionPool, info: ModelInfo, source: str) -> None:
        self._sessions, self._info, self._source = sessions, info, source
        self._idle = _Idle()
        abandon_after_fork(self)

    def generate(self, label: int, seed: int, index: int) -> NDArray[np.uint8]:
        """Return image `index` of a seed, uint8 [1, channels, height, width].

        The arguments must be valid: the caller checks them.
        """
        idle = self._idle.tensors
        try:
            bound = idle.pop()
        except IndexError as error:
            if raised_by_user_code(error):
                raise
            bound = _BoundTensors(self._sessions.for_batch(1), self._info)
        bound.set_inputs(label, seed, index)
        try:
            bound.run(bound.binding)
        except Exception as error:  # onnxruntime's exceptions have no other common base class
            if not is_native(error):
                raise
            raise convert_run_error(error, self._source) from error
        image = bound.image.copy()
        idle.append(bound)
        return image

    def abandon_sessions(self) -> None:
        """Give up the tensors, which are bound to a session of the parent process."""
        self._idle = _Idle()


class _BoundTensors:
    """Input and output tensors that are bound to a session."""

    def __init__(self, session: Any, info: ModelInfo) -> None:
        self.noise = np.zeros((1, info.noise_dim), np.float32)
        self.label = np.zeros(1, np.int64)
        self.image = np.zeros((1, *info.image_shape), np.uint8)
        self.run, self.binding = session.run_with_iobinding, session.io_binding()
        for name, array in ((NOISE, self.noise), (LABEL, self.label)):
            self.binding.bind_input(name, *_buffer(array))
        self.binding.bind_output(IMAGE, *_buffer(self.image))
        self.prefetched = np.zeros((PREFETCHED, info.noise_dim), np.float32)
        # Index of the first image whose noise is in self.prefetched; if negative, it is empty.
        self.prefetched_start = -PREFETCHED
        self.seed = self.next_index = -1  # seed of the last image, and the index of the next one

    def set_inputs(self, label: int, seed: int, index: int) -> None:
        """Set the label and the noise of an image."""
        self.label[0] = label
        if seed == self.seed and index == self.next_index:
            row = index - self.prefetched_start
            if row >= PREFETCHED:
                fill_noise(self.prefetched, seed, index)
                self.prefetched_start, row = index, 0
            self.noise[:] = self.prefetched[row]
        else:
            self.prefetched_start = -PREFETCHED
            fill_noise(self.noise, seed, index)
        self.seed, self.next_index = seed, index + 1


def _buffer(array: NDArray[Any]) -> tuple[str, int, Any, tuple[int, ...], int]:
    """Return what binding an array needs: device, device number, type, shape and address."""
    return "cpu", 0, array.dtype.type, array.shape, int(array.ctypes.data)
