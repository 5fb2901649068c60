"""Self-contained C99 that generates the images of an int8 file, for devices without ONNX Runtime.

DIR/NAME.h, DIR/NAME.c                           the model
DIR/example/NAME_main.c, DIR/example/Makefile    an example program and its Makefile, which are
                                                 kept if they exist, because users edit them
"""

import re
from pathlib import Path


def c_files(path: Path, folder: Path) -> tuple[Path, Path, Path, Path]:
    """Return the files of a model: source, header, example program and its Makefile."""
    name, example = c_name(path), folder / "example"
    source, header = folder / f"{name}.c", folder / f"{name}.h"
    return source, header, example / f"{name}_main.c", example / "Makefile"


def c_name(path: Path) -> str:
    """Return a file's name without the suffix as an identifier of C."""
    name = re.sub("[^0-9A-Za-z]+", "_", path.stem).strip("_")
    return name if name[:1].isalpha() else f"model_{name}".strip("_")
