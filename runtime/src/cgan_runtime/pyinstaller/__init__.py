"""PyInstaller hooks, for applications that contain this package.

PyInstaller finds the folder by the entry point group pyinstaller40 (PyInstaller's manual:
"Providing PyInstaller Hooks with your Package").
"""


def hook_folders() -> list[str]:
    """Return the folders that contain PyInstaller's hooks."""
    return [*__path__]
