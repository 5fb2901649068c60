"""Commands on a pseudo-terminal."""

import os
import pty
import re
import select
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# When a session's leader exits, Linux hangs up its terminal and discards unread output
# (tty_vhangup_session and pty_flush_buffer in drivers/tty). So a shell leads the session and
# outlives the command. It opens the terminal ($0), which becomes the session's terminal.
LEADER = 'exec <"$0"; trap : INT; "$@"; echo "exit code $?"; read _'
END = re.compile(rb"exit code (\d+)\r\n")
TIMEOUT_SECONDS = 300  # without output


def run_on_terminal(
    words: Sequence[str | Path],
    use_terminal: Callable[[int], None] = lambda _: None,
    stderr: Any = None,
    **settings: Any,
) -> tuple[int, bytes]:
    """Run a command whose streams are a terminal; return its exit code and its output.

    The function use_terminal gets the other end of the terminal after the command has started.
    """
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen(
        ["sh", "-c", LEADER, os.ttyname(terminal), *words],
        stdout=terminal,
        stderr=terminal if stderr is None else stderr,
        start_new_session=True,
        **settings,
    )
    content = b""
    try:
        use_terminal(keyboard)
        while not (end := END.search(content)):
            assert select.select([keyboard], [], [], TIMEOUT_SECONDS)[0], content
            content += os.read(keyboard, 65_536)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
        os.close(keyboard)
    return int(end[1]), content[: end.start()]
