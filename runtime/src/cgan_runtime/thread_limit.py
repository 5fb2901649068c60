"""Find out how many threads the system lets onnxruntime start.

onnxruntime hangs, and only SIGKILL ends it, if the system refuses a thread after it started others.
"""

import time
from pathlib import Path
from threading import Lock, Thread

MAX_EXIT_SECONDS = 1.0
TASKS = Path("/proc/self/task")  # Linux lists the threads of the process here


def startable_threads(threads: int) -> int:
    """Return how many threads a session can have, 1 to `threads`, including the calling thread.

    Twice as many threads as onnxruntime starts are started here first and ended. If the system
    refuses one, the session gets half of those that started: other programs under the same limit
    may need the rest meanwhile.
    """
    wanted = 2 * (threads - 1)
    gate, started = Lock(), list[Thread]()

    def wait() -> None:
        with gate:
            pass

    with gate:
        try:
            while len(started) < wanted:
                thread = Thread(target=wait, daemon=True)
                thread.start()
                started.append(thread)
        except RuntimeError as error:  # also while the interpreter exits
            if "new thread" not in str(error):
                raise
    for thread in started:
        thread.join()
    # A thread counts towards the limits for a moment after its join().
    end = time.monotonic() + MAX_EXIT_SECONDS
    while any((TASKS / str(each.native_id)).exists() for each in started):
        if time.monotonic() > end:
            break
        time.sleep(0.001)
    return len(started) // 2 + 1
