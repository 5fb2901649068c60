"""The sessions of one model: one with all threads, and one of a single thread for little work.

To wake threads takes longer than a small network takes for a few images (docs/design/0012).
"""

from threading import Lock
from typing import Any

from cgan_runtime.inference.session import CPU, open_session, short_name
from cgan_runtime.inference.threads import available_threads

LITTLE = 32 * 2**20  # bytes: the model's times the images, up to which one thread is faster


class SessionPool:
    """Opens them; the second when it is first asked for.

    Args:
        content: of the model file.
        source: its name, for messages.
        provider: and threads, as of open_session().
        threads: of the first.

    Raises:
        InstallError, ProviderError, ModelError: as open_session() does.
    """

    def __init__(self, content: bytes, source: str, provider: str, threads: int | None) -> None:
        threads = threads or available_threads()
        self.main = open_session(content, source, provider, threads)
        self.provider = short_name(self.main.get_providers()[0])
        several = self.provider == CPU and threads > 1
        self._few = LITTLE // len(content) if several else 0
        self._lone: Any = None
        self._content, self._source, self._lock = content if self._few else b"", source, Lock()

    def of(self, images: int) -> Any:
        """Return the onnxruntime.InferenceSession that draws so many images fastest."""
        if images > self._few:
            return self.main
        if self._lone is None:
            with self._lock:
                if self._lone is None:
                    self._lone = open_session(self._content, self._source, CPU, 1)
                    self._content = b""
        return self._lone
