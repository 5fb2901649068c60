"""Checks of the files and messages that a command leaves behind."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]
HEIGHT, WIDTH = 12, 9  # of the tiny model's images
SCRIPT = Path(sys.executable).with_name("cgan-run")


def read_png(png: Path | bytes, mode: str = "L") -> Images:
    with Image.open(png if isinstance(png, Path) else BytesIO(png)) as picture:
        assert (picture.format, picture.mode) == ("PNG", mode)
        return np.asarray(picture)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def is_close(images: Images, expected: Images) -> bool:
    """Return whether all pixels differ by at most 1. Float sums depend on the batch size."""
    return images.shape == expected.shape and bool(
        (np.abs(images.astype(int) - expected.astype(int)) <= 1).all()
    )


def error_line(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Return the one line that a failed command printed."""
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1, done.stderr.decode()
    assert lines[0].startswith("error: ")
    return lines[0]
