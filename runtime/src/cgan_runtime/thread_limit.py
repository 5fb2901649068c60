"""Find out how many threads the system lets onnxruntime start.

If the system refuses a thread after onnxruntime has started some, onnxruntime hangs until SIGKILL.
"""

import time
from pathlib import Path
from threading import Lock, Thread

MAX_THREADS = 1024  # largest number that cgan accepts; onnxruntime itself has no limit
MAX_EXIT_SECONDS = 1.0  # time to wait for ended threads to leave the system's counts
TASKS = Path("/proc/self/task")  # Linux lists the threads of the process here


def startable_threads(threads: int) -> int:
    """Return how many threads a session can have, 1 to `threads`, including the calling thread.

    To find out, start and end twice the number of threads that onnxruntime would start. If the
    system refuses one, a session may have half of those that started: other programs under the same
    limit may need the rest.
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
    # A thread counts toward the limits for a moment after its join().
    end = time.monotonic() + MAX_EXIT_SECONDS
    while any((TASKS / str(thread.native_id)).exists() for thread in started):
        if time.monotonic() > end:
            break
        time.sleep(0.001)
    return len(started) // 2 + 1
