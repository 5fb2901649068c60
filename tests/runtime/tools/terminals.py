"""What a pseudo-terminal shows."""

import os


def all_shown(terminal: int) -> bytes:
    """Read our end of a pseudo-terminal until the other is closed, and close it."""
    shown = bytearray()
    try:
        while part := os.read(terminal, 65_536):
            shown += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(terminal)
    return bytes(shown)
