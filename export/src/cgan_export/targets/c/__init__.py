"""Self-contained C99 that generates the images of an int8 file, for devices without ONNX Runtime.

DIR/NAME.h, DIR/NAME.c                           the model
DIR/example/NAME_main.c, DIR/example/Makefile    a program that writes a picture; users edit
                                                 them, so they are never overwritten
"""

import re
from pathlib import Path


def c_files(path: Path, folder: Path) -> tuple[Path, Path, Path, Path]:
    """Return the files of a model: source, header, example program and its Makefile."""
    name, example = c_name(path), folder / "example"
    source, header = folder / f"{name}.c", folder / f"{name}.h"
    return source, header, example / f"{name}_main.c", example / "Makefile"


def c_name(path: Path) -> str:
    """Return the name of a model in C: the file's name without suffix, as an identifier."""
    name = re.sub("[^0-9A-Za-z]+", "_", path.stem).strip("_")
    return name if name[:1].isalpha() else f"model_{name}".strip("_")
