"""Write batches of images as a PNG, a NumPy array, an IDX dataset or a folder of PNG files.

Every writer handles one batch at a time, so its memory use does not depend on the number of images.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cgan_runtime.errors import InputError
from cgan_runtime.files import atomic_write, make_folder, to_file_name
from cgan_runtime.generator import Batch
from cgan_runtime.images.layout import grid
from cgan_runtime.images.png import encode_png
from cgan_runtime.model_file.contract import ModelInfo

MAX_PNG_SIDE = 1_000_000  # pixels; libpng's default limit for reading
IDX_FOLDER = Path("MNIST", "raw")  # torchvision.datasets.MNIST looks here below its root
IDX_NAMES = ("{}-images-idx3-ubyte", "{}-labels-idx1-ubyte")
IDX_UINT8 = 8  # the IDX format's code of the type uint8


def png_chunks(
    batches: Iterable[Batch],
    info: ModelInfo,
    count: int,
    columns: int,
    scale: int,
    text: Mapping[str, str],
) -> Iterator[bytes]:
    """Return the parts of a PNG file that shows all images as a grid, with text as its metadata.

    Every batch except the last must fill whole rows of the grid. For columns and scale see grid().

    Raises:
        InputError: the picture is larger than PNG readers accept.
    """
    height = -(-count // columns) * info.height * scale
    width = columns * info.width * scale
    if max(height, width) > MAX_PNG_SIDE:
        raise InputError(
            f"a PNG of {width:,} x {height:,} pixels is larger than PNG readers accept; generate "
            "fewer images, or use --format npy"
        )
    bands = (grid(batch.images, columns, scale) for batch in batches)
    return encode_png(bands, height, width, text)


def npy_chunks(batches: Iterable[Batch], info: ModelInfo, count: int) -> Iterator[bytes]:
    """Yield the bytes of a .npy file with a uint8 array [count, 1, height, width]."""
    header, shape = BytesIO(), (count, 1, info.height, info.width)
    fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    yield header.getvalue()
    for batch in batches:
        yield batch.images.tobytes()


def write_pngs(
    folder: Path, batches: Iterable[Batch], info: ModelInfo, scale: int, text: Mapping[str, str]
) -> None:
    """Write one PNG per image, named after its class and index, such as 9-000017.png."""
    make_folder(folder)
    for batch in batches:
        for offset, label in enumerate(batch.labels.tolist()):
            name, index = info.class_names[label], batch.start + offset
            page = grid(batch.images[offset : offset + 1], 1, scale)
            image_text = {**text, "cgan:label": name, "cgan:index": str(index)}
            with atomic_write(folder / f"{to_file_name(name)}-{index:06}.png") as file:
                height, width = page.shape
                file.writelines(encode_png([page], height, width, image_text))


def write_idx(
    root: Path, batches: Iterable[Batch], info: ModelInfo, count: int, split: str, *, gz: bool
) -> None:
    """Write a labeled dataset in MNIST's format, which torchvision.datasets.MNIST(root) loads.

    The files are in root/MNIST/raw, with the class names in classes.txt. torchvision requires the
    files of both splits. If those of the other split do not exist, they are written without images.

    The split is "train" or "t10k", which is MNIST's test split. With gz, the files are compressed,
    and their names end in .gz; torchvision does not read these.

    Raises:
        InputError: there are more images or classes than the format supports.
        OutputError: a file cannot be written.
    """
    if count >= 2**32 or info.classes > 256:
        raise InputError(
            f"IDX supports fewer than 2**32 images and at most 256 classes, got {count:,} images "
            f"of {info.classes} classes; generate fewer, or use --format npy"
        )
    folder = root / IDX_FOLDER
    make_folder(folder)
    write_idx_split(folder, batches, info, count, split, gz=gz)
    other_split = "t10k" if split == "train" else "train"
    if not any(folder.glob(f"{other_split}-*")):
        write_idx_split(folder, [], info, 0, other_split, gz=gz)
    with atomic_write(folder / "classes.txt") as file:
        file.writelines(f"{name}\n".encode() for name in info.class_names)


def write_idx_split(
    folder: Path, batches: Iterable[Batch], info: ModelInfo, count: int, split: str, *, gz: bool
) -> None:
    """Write the images and the labels of a split to two IDX files, whose names begin with it.

    Raises:
        OutputError: a file cannot be written.
    """
    suffix = ".gz" if gz else ""
    images_path, labels_path = (folder / f"{name.format(split)}{suffix}" for name in IDX_NAMES)
    with (
        _idx_file(images_path, (count, info.height, info.width), gz=gz) as images,
        _idx_file(labels_path, (count,), gz=gz) as labels,
    ):
        for batch in batches:
            images.write(batch.images.tobytes())
            labels.write(batch.labels.astype(np.uint8).tobytes())


@contextmanager
def _idx_file(path: Path, shape: tuple[int, ...], *, gz: bool) -> Iterator[BinaryIO]:
    """Open an IDX file of uint8 values with atomic_write(), and write its header."""
    with ExitStack() as stack:
        file: Any = stack.enter_context(atomic_write(path))
        if gz:
            import gzip  # here, because other formats do not need it

            # Without a name and a time stamp, the same images give the same bytes.
            compressed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            file = stack.enter_context(compressed)
        file.write(struct.pack(f">BBBB{len(shape)}I", 0, 0, IDX_UINT8, len(shape), *shape))
        yield file
