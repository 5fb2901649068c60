"""Replace the sessions that a forked child inherits from its parent process.

A fork copies only the thread that forks. The destructor of a session with several threads waits for
all of them, so the child would hang or crash when it exits. Therefore the child never destroys
inherited sessions, and the owners of these sessions open new ones.
"""

import ctypes
import os
from threading import RLock
from typing import Any, Protocol
from weakref import WeakSet

# Held while onnxruntime is imported or opens a session, and by os.fork(). Otherwise a child could
# inherit a half-imported module, or a lock that no thread of the child releases.
NATIVE_LOCK = RLock()


class SessionOwner(Protocol):
    """An object with sessions, or with objects that belong to them."""

    def abandon_sessions(self) -> None:
        """Give up the sessions without destroying them."""


_owners: WeakSet[SessionOwner] = WeakSet()


def abandon_after_fork(owner: SessionOwner) -> None:
    """Call owner.abandon_sessions() in each child that is forked while the owner exists."""
    _owners.add(owner)


def never_destroy(value: Any) -> None:
    """Keep an object alive, even while the interpreter exits, by a reference without an owner."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def _abandon_all() -> None:
    NATIVE_LOCK.release()
    for owner in tuple(_owners):
        owner.abandon_sessions()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=NATIVE_LOCK.acquire,
        after_in_parent=NATIVE_LOCK.release,
        after_in_child=_abandon_all,
    )
