"""The noise of cgan-run's images: of a seed, of a file, or along a walk between two seeds."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from cgan_runtime.errors import InputError, is_callers
from cgan_runtime.files import to_file_name
from cgan_runtime.generator import NoiseOf
from cgan_runtime.model_file.contract import ModelInfo
from cgan_runtime.noise import check_seed_and_start, interpolate, round_to_grid, standard_normal

MAX_NOISE_BYTES = 2**28
MAX_FRAME_BYTES = 2**27  # of a walk's frame, which is held in memory: its images, or their noise
TYPICAL_CLASSES = 10  # number of classes that is assumed before the model is open
MAX_NAME_LENGTH = 20  # characters of the file's name in a default file name
SAVE_NOISE = "save finite numbers, float32 [n, noise_dim], with numpy.save"
Noise = NDArray[np.float32]


class NoiseFile(NamedTuple):
    """The noise vectors of a file."""

    path: Path
    rows: Noise  # [n, noise_dim]
    sha256: str  # of the vectors


class NoiseSource(NamedTuple):
    """The noise of the images of a run, by their position in it."""

    images: int  # of the run
    first_index: int  # of the first image; the indices are consecutive
    noise_of: NoiseOf
    name: str  # for file names
    summary: str  # for the user
    text: Mapping[str, str]  # for the metadata of pictures


@dataclass(frozen=True)
class NoiseRequest:
    """The options of cgan-run that choose the noise."""

    count: int
    seed: int
    start: int
    same_noise: bool
    walk: tuple[int, int] | None
    frames: int
    file: NoiseFile | None
    truncation: float | None

    def least_images(self, classes: int) -> int:
        """Return about how many images the run has, before the model is open; classes may be 0."""
        classes = classes or TYPICAL_CLASSES
        if self.file:
            return len(self.file.rows)
        return classes * self.count  # of a walk, a frame is a batch

    def source(self, info: ModelInfo, classes: int) -> NoiseSource:
        """Return the noise of a run with this number of classes.

        Raises:
            InputError: the seed or start is out of range, or the file does not fit.
        """
        if self.file:
            source = _file_source(self.file, info, classes, same_noise=self.same_noise)
        elif self.walk:
            source = self._walk_source(self.walk, info, classes)
        else:
            source = self._seed_source(info, classes)
        if self.same_noise:
            text = {**source.text, "cgan:same-noise": str(classes)}
            source = source._replace(name=f"same-noise-{source.name}", text=text)
        if self.truncation is None:
            return source
        return _truncate(source, self.truncation, is_exact=info.bit_exact)

    def _seed_source(self, info: ModelInfo, classes: int) -> NoiseSource:
        shared = classes if self.same_noise else 1
        check_seed_and_start(self.seed, self.start * shared, self.count * classes)

        def vectors(first: int, size: int) -> Noise:
            return standard_normal(self.seed, self.start + first, size, info.noise_dim)

        return NoiseSource(
            images=self.count * classes,
            first_index=self.start * shared,
            noise_of=_share(vectors, shared),
            name=f"seed-{self.seed}",
            summary=f"seed {self.seed}",
            text={"cgan:seed": str(self.seed)},
        )

    def _walk_source(self, seeds: tuple[int, int], info: ModelInfo, classes: int) -> NoiseSource:
        """Return the noise of the frames, which must be read one whole frame at a time."""
        shared, images = classes if self.same_noise else 1, self.count * classes
        largest = MAX_FRAME_BYTES // max(math.prod(info.image_shape), 4 * info.noise_dim)
        if images > largest:
            raise InputError(
                f"a frame of the walk has {images:,} images, but at most {largest:,} fit; use a "
                "smaller --count"
            )
        size = images // shared  # noise vectors of a frame
        start, last = (standard_normal(seed, self.start, size, info.noise_dim) for seed in seeds)

        def vectors(first: int, _size: int) -> Noise:
            return interpolate(start, last, first // size / (self.frames - 1))

        return NoiseSource(
            images=self.frames * images,
            first_index=self.start * shared,
            noise_of=_share(vectors, shared),
            name="walk-{}-{}".format(*seeds),
            summary="walk {}:{}".format(*seeds),
            text={"cgan:walk": "{}:{}".format(*seeds)},
        )


def read_noise(path: Path) -> NoiseFile:
    """Read a .npy file with noise.

    Raises:
        InputError: the file cannot be read, or holds something else than finite float32 numbers
            with two dimensions.
    """
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("error")
            rows = _read_rows(file, path)
    except InputError:
        raise
    except Exception as error:  # numpy raises many types for damaged files
        if is_callers(error):
            raise
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise InputError(f"cannot read {path}: {reason}; check the path") from error
        raise InputError(f"{path} is not a .npy file of numbers; {SAVE_NOISE}") from error
    if not np.isfinite(rows).all():
        raise InputError(f"{path} contains NaN or infinity; {SAVE_NOISE}")
    return NoiseFile(path, rows, sha256(rows.tobytes()).hexdigest())


def _read_rows(file: BinaryIO, path: Path) -> Noise:
    if npy.read_magic(file) != (1, 0):  # a later version may declare a header of gigabytes
        raise InputError(f"{path} has another version than 1.0 of the format; {SAVE_NOISE}")
    shape, is_fortran, dtype = npy.read_array_header_1_0(file)
    if (dtype.kind, dtype.itemsize, len(shape)) != ("f", 4, 2) or min(shape) < 1:
        raise InputError(f"{path} holds {dtype} {list(shape)}; {SAVE_NOISE}")
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_NOISE_BYTES:
        raise InputError(
            f"{path} holds {size:,} bytes of noise, more than the limit of {MAX_NOISE_BYTES:,}; "
            "use several files"
        )
    content = file.read(size + 1)
    if len(content) != size:
        raise InputError(f"{path} is truncated, or longer than it declares; {SAVE_NOISE}")
    values = np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")
    return np.ascontiguousarray(values, np.float32)


def _file_source(
    file: NoiseFile, info: ModelInfo, classes: int, *, same_noise: bool
) -> NoiseSource:
    """Return the noise of a file: a vector per image, or per row of all classes."""
    count, noise_dim = file.rows.shape
    if noise_dim != info.noise_dim:
        raise InputError(
            f"{file.path} has noise vectors of {noise_dim} numbers, but the model takes "
            f"{info.noise_dim}; {SAVE_NOISE}"
        )
    shared = classes if same_noise or count == 1 else 1
    if count * shared % classes:
        raise InputError(
            f"{file.path} has {count} noise vectors for {classes} classes; give a multiple of "
            f"{classes}, or use --same-noise"
        )
    name = to_file_name(file.path.stem)[:MAX_NAME_LENGTH].strip("-")
    return NoiseSource(
        images=count * shared,
        first_index=0,
        noise_of=_share(lambda first, size: file.rows[first : first + size], shared),
        name=f"noise-{name}",
        summary=f"noise {file.path}",
        text={"cgan:noise": file.sha256},
    )


def _truncate(source: NoiseSource, factor: float, *, is_exact: bool) -> NoiseSource:
    """Multiply the noise by a factor: a simple form of truncation (Brock et al. 2019, section 3.1).

    With is_exact, the products are rounded to the grid on which int8 files are exact.
    """

    def noise_of(position: int, size: int) -> Noise:
        noise = source.noise_of(position, size) * np.float32(factor)
        return round_to_grid(noise) if is_exact else noise

    text = {**source.text, "cgan:truncation": str(factor)}
    name = f"{source.name}-truncation-{factor}"
    return source._replace(noise_of=noise_of, name=name, text=text)


def _share(vectors: NoiseOf, shared: int) -> NoiseOf:
    """Return the noise by position, if as many consecutive images share each noise vector."""

    def noise_of(position: int, size: int) -> Any:
        numbers = (position % shared + np.arange(size)) // shared
        return vectors(position // shared, int(numbers[-1]) + 1)[numbers]

    return noise_of
