"""The sessions of a model: one with all threads, and one with a single thread for small batches.

Waking threads takes longer than a small network takes for a few images (docs/design/0012).
"""

from typing import Any

from cgan_runtime.errors import ProviderError
from cgan_runtime.inference.forks import NATIVE_LOCK, abandon_after_fork, never_destroy
from cgan_runtime.inference.native_errors import THREAD_REMEDY
from cgan_runtime.inference.session import open_session
from cgan_runtime.inference.threads import available_threads
from cgan_runtime.model_file.contract import MAX_BATCH
from cgan_runtime.providers import (
    CPU,
    FIXED_BATCH_SIZE,
    find_provider,
    parse_provider,
    short_name,
)

# Up to this value of model size in bytes x batch size, one thread is faster than several.
MAX_SINGLE_THREAD_BYTES = 32 * 2**20


class SessionPool:
    """The sessions of a model. A forked child opens new ones when it first needs them.

    The arguments and errors are those of open_session(), and max_batch is the largest number of
    images per run. The session with a single thread is opened for the first small batch.

    Attributes:
        provider: short name of the provider that the sessions use, such as "cpu".
        node_counts: number of graph nodes by provider; {} for "cpu", or if it is unknown.
        no_cuda_reason: why "auto" does not use CUDA although onnxruntime offers it, or None.
        fixed_batch_size: batch size of all runs if the provider needs a fixed one, otherwise None.
    """

    def __init__(
        self,
        content: bytes,
        source: str,
        provider: str,
        threads: int | None,
        max_batch: int = MAX_BATCH,
    ) -> None:
        requested = threads or available_threads()
        self._content, self._source = content, source
        self._batch_if_fixed = min(FIXED_BATCH_SIZE, max_batch)
        self._main: Any = None
        self._single_threaded: Any = None
        abandon_after_fork(self)
        opened = open_session(content, source, provider, requested, self._batch_if_fixed)
        main, self.node_counts, self.no_cuda_reason = opened
        self._main = main
        self.provider = short_name(main.get_providers()[0])
        is_named = parse_provider(provider)[0] == self.provider
        self._provider_and_options = provider if is_named else self.provider
        is_fixed = find_provider(self.provider).needs_fixed_batch
        self.fixed_batch_size = self._batch_if_fixed if is_fixed else None
        self._threads: int = main.get_session_options().intra_op_num_threads
        if self._threads < requested:
            import logging  # takes 2 ms or more, rarely needed

            logging.getLogger(__name__).warning(
                "generating with %d threads instead of %d: the system refuses to start more; %s, "
                "or set a lower number of threads", self._threads, requested, THREAD_REMEDY
            )  # fmt: skip
        use_two = self.provider == CPU and self._threads > 1
        self._max_single_thread_batch = MAX_SINGLE_THREAD_BYTES // len(content) if use_two else 0

    @property
    def main(self) -> Any:
        """The onnxruntime.InferenceSession with all threads."""
        return self._main or self._open_main()

    def for_batch(self, size: int) -> Any:
        """Return the onnxruntime.InferenceSession that is faster for this batch size."""
        if size > self._max_single_thread_batch:
            return self.main
        return self._single_threaded or self._open_single_threaded()

    def _open_single_threaded(self) -> Any:
        with NATIVE_LOCK:
            if self._single_threaded is None:
                self._single_threaded = self._open(CPU, 1)
            return self._single_threaded

    def _open_main(self) -> Any:
        """Open the session again, in a forked child."""
        try:
            with NATIVE_LOCK:
                if self._main is None:
                    self._main = self._open(self._provider_and_options, self._threads)
                return self._main
        except ProviderError as error:
            raise ProviderError(
                f"a forked process cannot use {self.provider}, which its parent uses; start it "
                "with spawn instead of fork, or generate on the CPU"
            ) from error

    def _open(self, provider: str, threads: int) -> Any:
        opened = open_session(self._content, self._source, provider, threads, self._batch_if_fixed)
        return opened.session

    def abandon_sessions(self) -> None:
        """Give up the sessions without destroying them."""
        for session in filter(None, (self._main, self._single_threaded)):
            never_destroy(session)
        self._main = self._single_threaded = None
