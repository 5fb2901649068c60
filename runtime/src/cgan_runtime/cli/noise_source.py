"""The noise of cgan-run's images: from a seed, from a file, or interpolated between two seeds."""

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

from cgan_runtime.errors import InputError, raised_by_user_code
from cgan_runtime.files import to_file_name
from cgan_runtime.generator import NoiseFunction
from cgan_runtime.images.writers import MAX_FRAME_BYTES
from cgan_runtime.model_file.contract import ModelInfo
from cgan_runtime.noise import check_seed_and_start, interpolate, round_noise, standard_normal

MAX_NOISE_BYTES = 2**28  # largest size of the vectors in a noise file
TYPICAL_CLASSES = 10  # assumed number of classes if it is unknown
MAX_NAME_LENGTH = 20  # largest number of characters of a noise file's name in a default file name
SAVE_NOISE = "save finite numbers, float32 [n, noise_dim], with numpy.save"
Noise = NDArray[np.float32]


class NoiseFile(NamedTuple):
    """The noise vectors of a file."""

    path: Path
    rows: Noise  # [n, noise_dim]
    sha256: str  # SHA-256 of the bytes of rows


class NoiseSource(NamedTuple):
    """The noise of all images of a run."""

    num_images: int  # number of images of the run
    first_index: int  # index of the first image; the indices are consecutive
    noise_function: NoiseFunction  # noise of images by their position in the run
    name: str  # part of default file names, such as seed-7
    summary: str  # text that is printed for the user, such as "seed 7"
    metadata: Mapping[str, str]  # PNG metadata


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

    def estimate_images(self, classes: int) -> int:
        """Estimate the number of images, or of one frame's images, before the model is open.

        The argument classes is 0 if the number of classes is unknown.
        """
        if self.file:
            return len(self.file.rows)
        return (classes or TYPICAL_CLASSES) * self.count

    def source(self, info: ModelInfo, classes: int) -> NoiseSource:
        """Return the noise of a run with this number of classes.

        Raises:
            InputError: the seed or start is out of range, or the file does not fit the model or the
                number of classes.
        """
        if self.file:
            source = _file_source(self.file, info, classes, same_noise=self.same_noise)
        elif self.walk:
            source = self._walk_source(self.walk, info, classes)
        else:
            source = self._seed_source(info, classes)
        if self.same_noise:
            metadata = {**source.metadata, "cgan:same-noise": str(classes)}
            source = source._replace(name=f"same-noise-{source.name}", metadata=metadata)
        if self.truncation is None:
            return source
        return _truncate(source, self.truncation, bit_exact=info.bit_exact)

    def _seed_source(self, info: ModelInfo, classes: int) -> NoiseSource:
        images_per_vector = classes if self.same_noise else 1
        first_index, num_images = self.start * images_per_vector, self.count * classes
        check_seed_and_start(self.seed, first_index, num_images)

        def vectors(first: int, count: int) -> Noise:
            return standard_normal(self.seed, self.start + first, count, info.noise_dim)

        return NoiseSource(
            num_images=num_images,
            first_index=first_index,
            noise_function=_repeat_noise(vectors, images_per_vector),
            name=f"seed-{self.seed}",
            summary=f"seed {self.seed}",
            metadata={"cgan:seed": str(self.seed)},
        )

    def _walk_source(self, seeds: tuple[int, int], info: ModelInfo, classes: int) -> NoiseSource:
        """Return the noise of all frames. Each call of noise_function must request one frame."""
        images_per_vector = classes if self.same_noise else 1
        frame_images = self.count * classes
        # One frame is held in memory, with its noise.
        largest = MAX_FRAME_BYTES // max(math.prod(info.image_shape), 4 * info.noise_dim)
        if frame_images > largest:
            raise InputError(
                f"a frame of the walk has {frame_images:,} images, but at most {largest:,} fit "
                "into memory; use a smaller --count"
            )
        frame_vectors = frame_images // images_per_vector
        first_noise, last_noise = (
            standard_normal(seed, self.start, frame_vectors, info.noise_dim) for seed in seeds
        )

        def vectors(first: int, _count: int) -> Noise:
            frame = first // frame_vectors
            return interpolate(first_noise, last_noise, frame / (self.frames - 1))

        return NoiseSource(
            num_images=self.frames * frame_images,
            first_index=self.start * images_per_vector,
            noise_function=_repeat_noise(vectors, images_per_vector),
            name="walk-{}-{}".format(*seeds),
            summary="walk {}:{}".format(*seeds),
            metadata={"cgan:walk": "{}:{}".format(*seeds)},
        )


def read_noise(path: Path) -> NoiseFile:
    """Read a .npy file with noise.

    Raises:
        InputError: the file cannot be read, or is not a two-dimensional array of finite float32
            numbers.
    """
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("error")
            rows = _read_rows(file, path)
    except InputError:
        raise
    except Exception as error:  # numpy raises many types for damaged files
        if raised_by_user_code(error):
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
        raise InputError(f"{path} uses a version of the .npy format other than 1.0; {SAVE_NOISE}")
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
    """Return the noise of a file: a vector per image, or a vector per row of all classes."""
    count, noise_dim = file.rows.shape
    if noise_dim != info.noise_dim:
        raise InputError(
            f"{file.path} has noise vectors of {noise_dim} numbers, but the model takes "
            f"{info.noise_dim}; {SAVE_NOISE}"
        )
    images_per_vector = classes if same_noise or count == 1 else 1
    if count * images_per_vector % classes:
        raise InputError(
            f"{file.path} has {count} noise vectors for {classes} classes; give a multiple of "
            f"{classes}, or use --same-noise"
        )

    def vectors(first: int, count: int) -> Noise:
        return file.rows[first : first + count]

    name = to_file_name(file.path.stem)[:MAX_NAME_LENGTH].strip("-")
    return NoiseSource(
        num_images=count * images_per_vector,
        first_index=0,
        noise_function=_repeat_noise(vectors, images_per_vector),
        name=f"noise-{name}",
        summary=f"noise {file.path}",
        metadata={"cgan:noise": file.sha256},
    )


def _truncate(source: NoiseSource, factor: float, *, bit_exact: bool) -> NoiseSource:
    """Multiply the noise by a factor: a simple form of truncation (Brock et al. 2019, section 3.1).

    For a bit-exact model, the result is rounded to multiples of 1/32, so that it stays exact.
    """

    def noise_function(first: int, count: int) -> Noise:
        noise = source.noise_function(first, count) * np.float32(factor)
        return round_noise(noise) if bit_exact else noise

    metadata = {**source.metadata, "cgan:truncation": str(factor)}
    name = f"{source.name}-truncation-{factor}"
    return source._replace(noise_function=noise_function, name=name, metadata=metadata)


def _repeat_noise(vectors: NoiseFunction, images_per_vector: int) -> NoiseFunction:
    """Return a noise function that uses each noise vector for several consecutive images."""

    def noise_function(first: int, count: int) -> Any:
        # For each image, the position of its vector in the result of vectors().
        rows = (first % images_per_vector + np.arange(count)) // images_per_vector
        return vectors(first // images_per_vector, int(rows[-1]) + 1)[rows]

    return noise_function
