"""A bulk job: which images its folder holds, and in which files, for any number of workers.

    DIR/job.json                      description of the job; written first
    DIR/model.onnx                    copy of the model
    DIR/shards/000000102400.parquet   complete shards, named after the index of their first image
    DIR/checksums/000000102400.json   description of the shard, with the SHA-256 of its files;
                                      written last

A second run of the job keeps the shards whose files match their checksums, and generates the rest.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from cgan_runtime import __version__
from cgan_runtime.errors import OutputError, raised_by_user_code, suppress_internal
from cgan_runtime.files import atomic_write, lock_folder, make_folder

VERSION = 1  # format version of job.json
MAX_MANIFEST_BYTES = 2**26
MANIFEST, MODEL, SHARDS, CHECKSUMS = "job.json", "model.onnx", "shards", "checksums"
MIN_NAME_DIGITS = 12  # shard names are padded with zeros to this length, so they sort like indices
CHOOSE_FOLDER = "choose another folder"


@dataclass(frozen=True)
class Job:
    """Description of the images. Two runs with equal jobs write the same files."""

    model_sha256: str
    seed: int
    start: int  # index of the first image
    count: int  # number of images of each label, 1 or more
    labels: tuple[int, ...]  # image start + j has labels[j % len(labels)]
    class_names: tuple[str, ...]  # class names of the model, by label
    channels: int  # 1 for gray images, 3 for RGB
    height: int  # image height in pixels
    width: int  # image width in pixels
    format: str  # "parquet" or "idx"
    shard_images: int  # number of images per shard; the last shard may have fewer

    @property
    def num_images(self) -> int:
        """Number of images in all shards."""
        return self.count * len(self.labels)

    @property
    def num_shards(self) -> int:
        """Number of shards."""
        return (self.num_images + self.shard_images - 1) // self.shard_images  # rounded up

    @cached_property
    def sha256(self) -> str:
        """Hash of the description, in hexadecimal."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def shard(self, number: int) -> "Shard":
        """Return a shard by its number, 0 <= number < num_shards."""
        offset = number * self.shard_images
        return Shard(self.start + offset, min(self.shard_images, self.num_images - offset))


@dataclass(frozen=True)
class Shard:
    """The images of one Parquet file, or of one pair of IDX files."""

    first: int  # index of the first image
    num_images: int

    @property
    def name(self) -> str:
        """Beginning of the names of the shard's files."""
        return f"{self.first:0{MIN_NAME_DIGITS}}"

    def __str__(self) -> str:
        return f"images {self.first} to {self.first + self.num_images - 1}"


def read_job(folder: Path) -> Job | None:
    """Return the job of a folder, or None if it has no job.json.

    Raises:
        OutputError: job.json is damaged, cannot be read, or was written by a newer version.
    """
    path = folder / MANIFEST
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not a regular file; {CHOOSE_FOLDER}")
    try:
        with path.open("rb") as file:
            manifest = json.loads(file.read(MAX_MANIFEST_BYTES))
        if manifest["version"] > VERSION:
            raise OutputError(f"{path} was written by a newer cgan-bulk; upgrade cgan-runtime")
        values = {field.name: manifest[field.name] for field in fields(Job)}
        return Job(**values | {key: tuple(values[key]) for key in ("labels", "class_names")})
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        if raised_by_user_code(error):
            raise
        raise OutputError(f"{path} is damaged; {CHOOSE_FOLDER}") from error
    except OSError as error:
        if raised_by_user_code(error):
            raise
        raise OutputError(f"cannot read {path}: {error.strerror}; {CHOOSE_FOLDER}") from error


@contextmanager
def open_job_folder(folder: Path, job: Job, model: bytes) -> Iterator[None]:
    """Create the folder of a job, or open an existing folder, and lock it against other runs.

    The function writes job.json and the model file to the folder. It replaces the job.json of
    another job only if that job has no shards.

    Raises:
        OutputError: the folder contains shards of another job, contains files that cgan-bulk did
            not write, is in use by another run, or cannot be written.
    """
    _require_same_job(folder, job)
    make_folder(folder)
    message = f"another cgan-bulk is writing to {folder}; wait for it, or {CHOOSE_FOLDER}"
    with lock_folder(folder, message):
        _require_same_job(folder, job)  # another run may have written since the first check
        if read_job(folder) != job:
            manifest = {"version": VERSION, "written_by": f"cgan-runtime {__version__}"}
            text = json.dumps(manifest | asdict(job), indent=2, ensure_ascii=False)
            with replace_file(folder / MANIFEST) as file:
                file.write(text.encode() + b"\n")
        copy = folder / MODEL
        if not copy.is_file() or _read_bytes(copy, len(model) + 1) != model:
            with replace_file(copy) as file:
                file.write(model)
        make_folder(folder / SHARDS)
        make_folder(folder / CHECKSUMS)
        yield


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file atomically (see atomic_write). A symbolic link is replaced, not followed."""
    if path.is_symlink():
        with suppress_internal(OSError):  # if this fails, atomic_write() raises the error
            path.unlink()
    with atomic_write(path) as file:
        yield file


def _require_same_job(folder: Path, job: Job) -> None:
    """Raise OutputError if the folder holds shards of another job, or files of other programs."""
    existing = read_job(folder)
    if existing is None and _has_visible_files(folder):
        raise OutputError(f"{folder} contains files that cgan-bulk did not write; {CHOOSE_FOLDER}")
    if existing and existing != job and _has_visible_files(folder / SHARDS):
        old, new = asdict(existing), asdict(job)
        name = next(name for name in old if old[name] != new[name])
        raise OutputError(
            f"{folder} holds another job, with {name} {_shorten(old[name])} instead of "
            f"{_shorten(new[name])}; {CHOOSE_FOLDER}, or repeat the options of that job"
        )


def _read_bytes(path: Path, size: int) -> bytes:
    """Return the first `size` bytes of a file, or b"" if it cannot be read."""
    with suppress_internal(OSError), path.open("rb") as file:
        return file.read(size)
    return b""


def _has_visible_files(folder: Path) -> bool:
    with suppress_internal(OSError):  # the folder does not exist, or make_folder() raises the error
        return any(not path.name.startswith(".") for path in folder.iterdir())
    return False


def _shorten(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 24 else f"{text[:20]}..."
