"""Reading from a pseudo-terminal."""

import os


def read_terminal(terminal: int) -> bytes:
    """Read the controlling end of a pseudo-terminal until the other end is closed; close it."""
    content = bytearray()
    try:
        while part := os.read(terminal, 65_536):
            content += part
    except OSError:  # Linux reports the closed end as an error
        pass
    os.close(terminal)
    return bytes(content)
