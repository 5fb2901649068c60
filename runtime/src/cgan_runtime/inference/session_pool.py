"""The sessions of one model: one with all threads, and one with a single thread for small batches.

Waking threads takes longer than a small network takes for a few images (docs/design/0012).
"""

from threading import Lock
from typing import Any

from cgan_runtime.inference.session import CPU, open_session, short_name
from cgan_runtime.inference.threads import available_threads

# One thread is faster up to this number of bytes: the size of the model times the batch size.
MAX_SINGLE_THREAD_BYTES = 32 * 2**20


class SessionPool:
    """Opens the main session at once, and the single-threaded one when it is first needed.

    The arguments and the errors are those of open_session().
    """

    def __init__(self, content: bytes, source: str, provider: str, threads: int | None) -> None:
        threads = threads or available_threads()
        self.main = open_session(content, source, provider, threads)
        self.provider = short_name(self.main.get_providers()[0])
        use_two = self.provider == CPU and threads > 1
        self._max_single_thread_batch = MAX_SINGLE_THREAD_BYTES // len(content) if use_two else 0
        self._content = content if self._max_single_thread_batch else b""
        self._source, self._lock = source, Lock()
        self._single_threaded: Any = None

    def for_batch(self, size: int) -> Any:
        """Return the onnxruntime.InferenceSession that is faster for this number of images."""
        if size > self._max_single_thread_batch:
            return self.main
        if self._single_threaded is None:
            with self._lock:
                if self._single_threaded is None:
                    self._single_threaded = open_session(self._content, self._source, CPU, 1)
                    self._content = b""
        return self._single_threaded
