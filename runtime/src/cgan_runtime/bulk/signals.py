"""Signal handling of cgan-bulk: only the main process reacts to Ctrl-C, and stops its workers."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sigint_blocked() -> Iterator[None]:
    """Block SIGINT while processes start, so that they inherit the mask and keep it.

    On Ctrl-C, a terminal sends SIGINT to the main process and to all workers.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
