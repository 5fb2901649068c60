"""Tells PyInstaller what an application that uses this package needs.

PyInstaller finds the folder of hooks through the entry point group pyinstaller40 (PyInstaller's
manual: "Providing PyInstaller Hooks with your Package").
"""


def hook_folders() -> list[str]:
    """Return the folders that contain PyInstaller's hooks."""
    return [*__path__]
