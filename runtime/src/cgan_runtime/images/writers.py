"""Write batches of images as a PNG, a NumPy array, an IDX dataset or a folder of PNG files.

A writer holds one batch at a time, so its memory use does not depend on the number of images.
"""

import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cgan_runtime.errors import InputError, OutputError, raised_by_user_code
from cgan_runtime.files import atomic_write, to_file_name
from cgan_runtime.generator import Batch
from cgan_runtime.images.layout import grid
from cgan_runtime.images.png import encode_animation, encode_png
from cgan_runtime.images.staging import staged_folder
from cgan_runtime.model_file.contract import ModelInfo

MAX_PNG_SIDE = 1_000_000  # pixels; libpng's default limit for reading
MAX_FRAME_BYTES = 2**27  # largest size of an animation's frame, which is held in memory
IDX_FOLDER = Path("MNIST", "raw")  # torchvision.datasets.MNIST reads this folder in its root
IDX_NAMES = ("{}-images-idx3-ubyte", "{}-labels-idx1-ubyte")
IDX_UINT8 = 8  # the IDX format's code of the type uint8
MAX_EMPTY_IDX_BYTES = 64  # a file without images is smaller: it has only a header
CLASSES_FILE = "classes.txt"
# Largest compression ratio of Deflate (zlib: Technical Details). Images compress far less.
MAX_COMPRESSION = 1032
MIN_PNG_BYTES = 67  # size of a PNG file with one pixel


def min_bytes(file_format: str, info: ModelInfo, count: int, scale: int) -> int:
    """Return a lower bound of the output size in bytes, for a format of cgan-run."""
    pixels = count * info.channels * info.height * info.width
    if file_format in ("npy", "idx"):
        return pixels + (count if file_format == "idx" else 0)  # idx: a byte per label
    files = count * MIN_PNG_BYTES if file_format == "pngs" else 0
    return files + pixels * scale**2 // MAX_COMPRESSION


def png_chunks(
    batches: Iterable[Batch],
    info: ModelInfo,
    count: int,
    columns: int,
    scale: int,
    metadata: Mapping[str, str],
) -> Iterator[bytes]:
    """Return the parts of a PNG file that shows all images as a grid.

    Every batch except the last must fill whole rows of the grid. For columns and scale see grid().

    Raises:
        InputError: the PNG would be larger than PNG readers accept.
    """
    shape = _grid_shape(info, count, columns, scale)
    return encode_png((grid(batch.images, columns, scale) for batch in batches), shape, metadata)


def animation_chunks(
    batches: Iterable[Batch],
    info: ModelInfo,
    frames: int,
    count: int,
    columns: int,
    scale: int,
    metadata: Mapping[str, str],
) -> Iterator[bytes]:
    """Return the parts of an animated PNG file. Each batch has the `count` images of one frame.

    Raises:
        InputError: a frame does not fit into memory, or is larger than PNG readers accept.
    """
    shape = _grid_shape(info, count, columns, scale)
    if math.prod(shape) > MAX_FRAME_BYTES:
        raise InputError(
            f"a frame of {shape[1]:,} x {shape[0]:,} pixels does not fit into memory; generate "
            "fewer images, or use a smaller --scale"
        )
    sheets = (grid(batch.images, columns, scale) for batch in batches)
    return encode_animation(sheets, frames, shape, metadata)


def _grid_shape(info: ModelInfo, count: int, columns: int, scale: int) -> tuple[int, int, int]:
    """Return height, width and channels of a grid of images."""
    rows = (count + columns - 1) // columns  # rounded up; math.ceil() would need an inexact float
    height = rows * info.height * scale
    width = columns * info.width * scale
    if max(height, width) > MAX_PNG_SIDE:
        raise InputError(
            f"a PNG of {width:,} x {height:,} pixels is larger than PNG readers accept; generate "
            "fewer images, or use --format npy"
        )
    return height, width, info.channels


def npy_chunks(batches: Iterable[Batch], shape: tuple[int, ...]) -> Iterator[bytes]:
    """Yield the bytes of a .npy file with a uint8 array [..., channels, height, width]."""
    header = BytesIO()
    fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    yield header.getvalue()
    for batch in batches:
        yield batch.images.tobytes()


def write_pngs(
    folder: Path,
    batches: Iterable[Batch],
    info: ModelInfo,
    scale: int,
    metadata: Mapping[str, str],
) -> None:
    """Write one PNG per image, named after its class and index, such as 9-000017.png.

    The files appear together when all of them are complete. Images with new indices, such as those
    of a second shard, are added to an existing folder. Writing equal images again changes nothing.

    Raises:
        OutputError: the folder contains a different image with one of the indices, or cannot be
            written. None of the images appears then.
    """
    with staged_folder(folder, key=lambda name: name.rpartition("-")[2]) as stage:
        for batch in batches:
            for offset, label in enumerate(batch.labels.tolist()):
                name, index = info.class_names[label], batch.start + offset
                image = grid(batch.images[offset : offset + 1], 1, scale)
                image_metadata = {**metadata, "cgan:label": name, "cgan:index": str(index)}
                with atomic_write(stage / f"{to_file_name(name)}-{index:06}.png") as file:
                    file.writelines(encode_png([image], image.shape, image_metadata))


def write_idx(
    root: Path, batches: Iterable[Batch], info: ModelInfo, count: int, split: str, *, gz: bool
) -> str | None:
    """Write a labeled dataset in MNIST's format, which torchvision.datasets.MNIST(root) loads.

    The files are in root/MNIST/raw, with the class names in classes.txt. They appear together when
    all of them are complete. A later call adds the second split to the dataset, if image size,
    class names and compression are equal. An existing split is never replaced; writing equal images
    again changes nothing.

    torchvision requires the files of both splits. If the files of the other split do not exist,
    they are written without images. torchvision cannot read such a split: MNIST(root, train=False)
    of a dataset without test images raises ValueError.

    The split is "train" or "t10k", which is MNIST's test split. With gz, the files are compressed
    and their names end in .gz; torchvision does not read these files.

    Returns:
        The split that has no images, or None if both splits have images.

    Raises:
        InputError: the images are in color, or there are more images or classes than the format
            supports.
        OutputError: the folder contains different images of the split, or a different image size,
            class names or compression, or cannot be written.
    """
    require_idx_support(info.channels, info.classes, count, "pngs, npy or png")
    folder = root / IDX_FOLDER
    other_split = "t10k" if split == "train" else "train"
    with staged_folder(folder, _idx_key, _is_empty_idx) as stage:
        _require_no_processed_files(folder)
        other_shape = _find_split_shape(folder, info, other_split)
        has_other_images = other_shape[:1] not in ((), (0,))
        _require_class_names(folder / CLASSES_FILE, info, has_images=has_other_images)
        _write_idx_split(stage, batches, info, count, split, gz=gz)
        if not other_shape:
            _write_idx_split(stage, [], info, 0, other_split, gz=gz)
        if not (folder / CLASSES_FILE).exists():
            with atomic_write(stage / CLASSES_FILE) as file:
                file.writelines(f"{name}\n".encode() for name in info.class_names)
    return None if has_other_images else other_split


def require_idx_support(channels: int, classes: int, count: int, other_formats: str) -> None:
    """Raise InputError if IDX files, as torchvision's MNIST reads them, cannot hold the images."""
    if channels > 1:
        raise InputError(
            "the IDX format of torchvision.datasets.MNIST has no color images; use --format "
            f"{other_formats}"
        )
    if count >= 2**32 or classes > 256:
        raise InputError(
            f"IDX supports fewer than 2**32 images and at most 256 classes, got {count:,} images "
            f"of {classes} classes; generate fewer, or use --format {other_formats}"
        )


def write_idx_pair(
    files: Sequence[BinaryIO], batches: Iterable[Batch], height: int, width: int, count: int
) -> None:
    """Write a split to two open IDX files: one for its images, and one for their labels."""
    images, labels = files
    for file, shape in ((images, (count, height, width)), (labels, (count,))):
        file.write(struct.pack(f">BBBB{len(shape)}I", 0, 0, IDX_UINT8, len(shape), *shape))
    for batch in batches:
        images.write(batch.images.tobytes())
        labels.write(batch.labels.astype(np.uint8).tobytes())


def _write_idx_split(
    folder: Path, batches: Iterable[Batch], info: ModelInfo, count: int, split: str, *, gz: bool
) -> None:
    with ExitStack() as stack:
        files: list[Any] = []
        for name in IDX_NAMES:
            path = folder / f"{name.format(split)}{'.gz' if gz else ''}"
            file: Any = stack.enter_context(atomic_write(path))
            if gz:
                import gzip  # here, because other formats do not need it

                # Without a name and a time stamp, the same images give the same bytes.
                compressed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
                file = stack.enter_context(compressed)
            files.append(file)
        write_idx_pair(files, batches, info.height, info.width, count)


def _idx_key(name: str) -> str:
    """Return MNIST's name of an IDX file: without .gz, and with "-idx" instead of ".idx"."""
    return name.removesuffix(".gz").replace(".idx", "-idx")


def _idx_shape(path: Path) -> tuple[int, ...]:
    """Return the shape that an IDX file declares, or () if it is not a readable IDX file."""
    import gzip

    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(4)
            dimensions = header[3] if header[:3] == bytes([0, 0, IDX_UINT8]) else 0
            return struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
    except (OSError, EOFError, IndexError, struct.error, zlib.error) as error:
        if raised_by_user_code(error):
            raise
        return ()


def _is_empty_idx(path: Path) -> bool:
    """Return whether a file is an IDX file without images."""
    is_short = path.stat().st_size <= MAX_EMPTY_IDX_BYTES and not path.is_symlink()
    return is_short and _idx_shape(path)[:1] == (0,)


def _require_no_processed_files(folder: Path) -> None:
    """Raise OutputError if the dataset has a file that torchvision reads instead of IDX files."""
    processed = folder.with_name("processed") / "training.pt"
    if processed.exists():
        raise OutputError(
            f"torchvision would read {processed} instead of the new files; choose another folder"
        )


def _find_split_shape(folder: Path, info: ModelInfo, split: str) -> tuple[int, ...]:
    """Return the shape of a split's images, or () if the dataset does not have the split.

    Raise OutputError if their size differs from the model's images.
    """
    name = IDX_NAMES[0].format(split)
    paths = [path for path in folder.glob(f"{split}-images*") if _idx_key(path.name) == name]
    shape = _idx_shape(paths[0]) if paths else ()
    has_images = shape[:1] not in ((), (0,))
    if has_images and shape[1:] != (info.height, info.width):
        size = " x ".join(map(str, shape[1:]))
        raise OutputError(
            f"{paths[0]} has images of {size} pixels, but this model generates {info.height} x "
            f"{info.width}; choose another folder"
        )
    return shape


def _require_class_names(path: Path, info: ModelInfo, *, has_images: bool) -> None:
    """Raise OutputError if the dataset has different class names than the model.

    If a dataset has images but no classes.txt, such as MNIST, its class names are 0, 1, 2 ...
    """
    expected = "".join(f"{name}\n" for name in info.class_names)
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(2 * len(expected) + 2)
    except FileNotFoundError:
        text = "".join(f"{label}\n" for label in range(info.classes)) if has_images else expected
    except (OSError, UnicodeDecodeError) as error:
        if raised_by_user_code(error):
            raise
        raise OutputError(f"cannot read {path}: {error}; choose another folder") from error
    if [line.strip() for line in text.splitlines()] != list(info.class_names):
        raise OutputError(
            f"{path.parent} has different class names than this model; choose another folder"
        )
