"""Images into files: a PNG, an array, MNIST's own format, a folder of PNGs. All of them stream."""

import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cgan_runtime.errors import InputError, OutputError
from cgan_runtime.files import atomic_write
from cgan_runtime.generator import Batch
from cgan_runtime.images.layout import grid
from cgan_runtime.images.png import encode_png
from cgan_runtime.model_file.contract import ModelInfo

LONGEST_SIDE = 1_000_000  # pixels of a PNG: libpng reads no longer ones unless told to
IDX_FOLDER = Path("MNIST", "raw")  # where torchvision.datasets.MNIST looks below its root
IDX_NAMES = ("{}-images-idx3-ubyte", "{}-labels-idx1-ubyte")
SPLITS = ("train", "t10k")  # MNIST's words for its training and its test part
IDX_UINT8 = 8  # IDX's code for the type


def write_png(
    file: BinaryIO,
    batches: Iterable[Batch],
    *,
    info: ModelInfo,
    count: int,
    columns: int,
    scale: int,
    text: Mapping[str, str],
) -> None:
    """Write a grid of images.

    Args:
        file: where to.
        batches: the images; each batch but the last fills whole rows of the grid.
        info: of the model that draws them.
        count: of images in all, 1 or more.
        columns: images a row.
        scale: how many pixels wide and high each pixel becomes.
        text: recorded in the file.

    Raises:
        InputError: a PNG cannot be that large.
    """
    height = -(-count // columns) * info.height * scale
    width = columns * info.width * scale
    if max(height, width) > LONGEST_SIDE:
        raise InputError(
            f"a PNG of {width:,} x {height:,} pixels is more than its readers take; "
            "ask for fewer images, or for --format npy"
        )
    bands = (grid(batch.images, columns, scale) for batch in batches)
    file.writelines(encode_png(bands, height, width, text))


def write_npy(file: BinaryIO, batches: Iterable[Batch], *, info: ModelInfo, count: int) -> None:
    """Write an array as numpy.load() reads it: uint8 [count, 1, height, width]."""
    header = {
        "descr": "|u1",
        "fortran_order": False,
        "shape": (count, 1, info.height, info.width),
    }
    np.lib.format.write_array_header_1_0(file, header)
    file.writelines(batch.images.tobytes() for batch in batches)


def write_pngs(
    folder: Path,
    batches: Iterable[Batch],
    *,
    info: ModelInfo,
    scale: int,
    text: Mapping[str, str],
) -> None:
    """Write a PNG an image into a folder, named by its class and index, such as 9-000017.png.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    _make(folder)
    for batch in batches:
        for offset, label in enumerate(batch.labels.tolist()):
            name, index = info.class_names[label], batch.start + offset
            page = grid(batch.images[offset : offset + 1], 1, scale)
            told = {**text, "cgan:label": name, "cgan:index": str(index)}
            with atomic_write(folder / f"{file_name(name)}-{index:06}.png") as file:
                height, width = page.shape
                file.writelines(encode_png([page], height, width, told))


def write_idx(
    root: Path,
    batches: Iterable[Batch],
    *,
    info: ModelInfo,
    count: int,
    split: str,
    gz: bool,
) -> None:
    """Write a labelled data set in MNIST's format, which torchvision.datasets.MNIST(root) reads.

    The files lie in root/MNIST/raw, with the class names in classes.txt. torchvision wants both
    splits to be there: where the other one is not, it is written with no images.

    Args:
        root: the data set's folder.
        batches: images and labels.
        info: of the model that draws them.
        count: of images in all, below 2**32.
        split: "train" or "t10k".
        gz: whether to compress the files, which are then named .gz; torchvision reads them plain.

    Raises:
        InputError: the format cannot hold so many images or classes.
        OutputError: a file cannot be written.
    """
    if count >= 2**32 or info.classes > 256:
        raise InputError(
            f"IDX files hold fewer than 2**32 images of at most 256 classes, not {count:,} of "
            f"{info.classes}; ask for fewer, or for --format npy"
        )
    folder = root / IDX_FOLDER
    _make(folder)
    (other,) = set(SPLITS) - {split}
    with idx_files(folder, split, info, count, gz=gz) as (images, labels):
        for batch in batches:
            images.write(batch.images.tobytes())
            labels.write(batch.labels.astype(np.uint8).tobytes())
    if not any(folder.glob(f"{other}-*")):
        with idx_files(folder, other, info, 0, gz=gz):
            pass
    with atomic_write(folder / "classes.txt") as file:
        file.writelines(f"{name}\n".encode() for name in info.class_names)


@contextmanager
def idx_files(
    folder: Path, split: str, info: ModelInfo, count: int, *, gz: bool
) -> Iterator[list[BinaryIO]]:
    """Open the images' and the labels' file of a split, with their headers written."""
    shapes = ((count, info.height, info.width), (count,))
    with ExitStack() as stack:
        opened = []
        for name, shape in zip(IDX_NAMES, shapes, strict=True):
            path = folder / (name.format(split) + (".gz" if gz else ""))
            file = stack.enter_context(atomic_write(path))
            if gz:  # neither name nor time: the same images give the same bytes
                file = stack.enter_context(_zipped(file))
            file.write(struct.pack(f">BBBB{len(shape)}I", 0, 0, IDX_UINT8, len(shape), *shape))
            opened.append(file)
        yield opened


@contextmanager
def _zipped(file: BinaryIO) -> Iterator[BinaryIO]:
    import gzip  # which a single PNG need not wait for

    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        yield packed  # type: ignore[misc]


def file_name(class_name: str) -> str:
    """Return a class name as part of a file's name."""
    return (
        "".join(letter if letter.isalnum() else "-" for letter in class_name).strip("-") or "class"
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make {folder}: {error.strerror or error}; choose another place"
        ) from error
