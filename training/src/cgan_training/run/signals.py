"""Handle SIGINT and SIGTERM during a run, so that it can save its state before it ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def record_stop_signals() -> Iterator[list[int]]:
    """Record SIGINT and SIGTERM within the block instead of ending the process; yield the record.

    A second signal of the same kind has its usual effect. Outside the main thread nothing changes:
    Python handles signals in the main thread only.
    """
    received: list[int] = []

    def record(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, previous[signal.Signals(number)])

    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    in_main_thread = threading.current_thread() is threading.main_thread()
    for number in previous if in_main_thread else ():
        signal.signal(number, record)
    try:
        yield received
    finally:
        for number, handler in previous.items() if in_main_thread else ():
            signal.signal(number, handler)
