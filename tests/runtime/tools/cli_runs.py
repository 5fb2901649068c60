"""What cgan-run leaves behind, for its tests."""

import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from click.testing import Result
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]
Command = Callable[..., "subprocess.CompletedProcess[bytes]"]
Draw = Callable[..., Result]
HEIGHT, WIDTH = 12, 9  # of the tiny model's images
SCRIPT = Path(sys.executable).with_name("cgan-run")
BLOCKS = "▀▄█"


def pixels(png: Path | bytes) -> Images:
    with Image.open(png if isinstance(png, Path) else BytesIO(png)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        return np.asarray(picture)


def differ_by_a_grey_level_at_most(found: Images, wanted: Images) -> bool:
    return found.shape == wanted.shape and bool(
        (np.abs(found.astype(int) - wanted.astype(int)) <= 1).all()
    )


def the_error(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Return the one line that a call ended with."""
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1, done.stderr.decode()
    assert lines[0].startswith("error: ")
    return lines[0]
