"""Compile the C code of `cgan-export --c` with gcc, and call it from Python."""

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cgan_export.targets.c import c_name
from cgan_export.targets.c.source import write_c

Generate = Callable[[NDArray[np.int64], int, int], NDArray[np.uint8]]
LOOP = """
#include "{name}.c"
void generate_batch(uint64_t seed, uint64_t start, int64_t count, const int64_t *labels,
                    uint8_t *images)
{{
    int64_t i;
    for (i = 0; i < count; i++) {{
        {name}_generate(seed, start + (uint64_t)i, (int32_t)labels[i],
                        images + i * {NAME}_IMAGE_BYTES);
    }}
}}
"""


def compile_c(
    path: Path, folder: Path, options: list[str], shape: tuple[int, int, int]
) -> tuple[Generate, int]:
    """Write an int8 file as C, compile it, and load the library.

    Args:
        path: the .onnx file.
        folder: an empty folder, which must outlive the function that is returned.
        options: compiler options.
        shape: channels, height and width of an image.

    Returns:
        A function from labels, seed and start index to images, and the library's size in bytes.
    """
    write_c(path, folder)
    name, library = c_name(path), folder / "model.so"
    (folder / "loop.c").write_text(LOOP.format(name=name, NAME=name.upper()))
    command = [
        "gcc",
        "-std=c99",
        *options,
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(folder / "loop.c"),
    ]
    subprocess.run(command, check=True)
    run = ctypes.CDLL(str(library)).generate_batch
    pointer = ctypes.c_void_p
    run.argtypes = [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64, pointer, pointer]
    run.restype = None

    def generate(labels: NDArray[np.int64], seed: int, start: int) -> NDArray[np.uint8]:
        images = np.empty((len(labels), *shape), np.uint8)
        run(seed, start, len(labels), labels.ctypes.data, images.ctypes.data)
        return images

    return generate, library.stat().st_size
