"""The job: which images there are to be, and in which files. Nothing of it depends on who draws.

    DIR/job.json                      what is here; written first
    DIR/model.onnx                    the model that draws it, a copy
    DIR/shards/000000102400.parquet   whole shards, named after the index of their first image

A second run of the same job keeps the shards that are whole and draws the others.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cgan_runtime import __version__
from cgan_runtime.errors import OutputError
from cgan_runtime.files import atomic_write

VERSION = 1  # of job.json
MANIFEST, MODEL, SHARDS, LOCK = "job.json", "model.onnx", "shards", ".lock"
DIGITS = 12  # of a shard's name, at least: names sort as indices do
ELSEWHERE = "choose another folder"


@dataclass(frozen=True)
class Job:
    """What images there are to be. Two runs with equal jobs make the same files."""

    model_sha256: str
    seed: int
    start: int  # index of the first image
    count: int  # of images in all shards, 1 or more
    labels: tuple[int, ...]  # again and again: image start + j has label j modulo their number
    class_names: tuple[str, ...]  # of the model, one a label
    height: int  # of an image, in pixels
    width: int  # likewise
    format: str  # "parquet" or "idx"
    shard_images: int  # of every shard but the last, which may have fewer

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.count // self.shard_images)

    def shard(self, number: int) -> "Shard":
        """Return what shard number 0 <= number < shards holds."""
        offset = number * self.shard_images
        turn = offset % len(self.labels)
        return Shard(
            first=self.start + offset,
            count=min(self.shard_images, self.count - offset),
            labels=self.labels[turn:] + self.labels[:turn],
        )


@dataclass(frozen=True)
class Shard:
    """What one file of a job holds, or one pair of files."""

    first: int  # index of its first image
    count: int  # of its images
    labels: tuple[int, ...]  # again and again, from its first image on

    @property
    def name(self) -> str:
        """What its files' names begin with."""
        return f"{self.first:0{DIGITS}}"

    def __str__(self) -> str:
        return f"images {self.first} to {self.first + self.count - 1}"


def read_job(folder: Path) -> Job | None:
    """Return the job that a folder holds, or None where it holds none.

    Raises:
        OutputError: its job.json cannot be read, or is of a newer release.
    """
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_bytes())
        if found["version"] > VERSION:
            raise OutputError(f"{path} is of a newer cgan-bulk; upgrade cgan-runtime")
        values = {field.name: found[field.name] for field in fields(Job)}
        return Job(**values | {key: tuple(values[key]) for key in ("labels", "class_names")})
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(f"{path} is damaged; {ELSEWHERE}") from error
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror}; {ELSEWHERE}") from error


@contextmanager
def opened(folder: Path, job: Job, model: Path) -> Iterator[None]:
    """Make the job's folder, or go on in it, and keep other runs out.

    What a killed run left half written is deleted. A job of which no shard was drawn gives way to
    another one.

    Args:
        folder: of the job.
        job: what it is to hold.
        model: the file to copy into it.

    Raises:
        OutputError: it holds another job, or something else, another run is at work there, or it
            cannot be written.
    """
    _check(folder, job)
    _make(folder)
    with _locked(folder) as alone:
        _check(folder, job)  # another run may have come between
        if read_job(folder) != job:
            told = {"version": VERSION, "written_by": f"cgan-runtime {__version__}", **asdict(job)}
            with atomic_write(folder / MANIFEST) as file:
                file.write(json.dumps(told, indent=2, ensure_ascii=False).encode() + b"\n")
        if not (folder / MODEL).exists() or sha256(folder / MODEL) != job.model_sha256:
            with atomic_write(folder / MODEL) as file:
                file.write(model.read_bytes())
        _make(folder / SHARDS)
        if alone:
            _clear(folder)
        try:
            yield
        finally:
            if alone:
                _clear(folder)


def _check(folder: Path, job: Job) -> None:
    """Refuse a folder that holds something else, or another job's shards."""
    found = read_job(folder)
    if found is None and _visible(folder):
        raise OutputError(f"{folder} is neither empty nor of cgan-bulk; {ELSEWHERE}")
    if found and found != job and _visible(folder / SHARDS):
        raise OutputError(
            f"{folder} holds another job, {_difference(found, job)}; {ELSEWHERE}, or give it the "
            "options it was begun with"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock; yield whether there is one, for not every file system has them."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    try:
        lock = (folder / LOCK).open("ab")  # for writing, or NFS would refuse
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}; {ELSEWHERE}") from error
    with lock:  # which goes when the file is closed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError as error:
            raise OutputError(
                f"another cgan-bulk is at work in {folder}; wait for it, or {ELSEWHERE}"
            ) from error
        except OSError:
            alone = False
        yield alone


def _clear(folder: Path) -> None:
    """Delete what was left half written."""
    for pattern in (f".{16 * '?'}.part", f"{SHARDS}/.*"):  # files.atomic_write's, and ours
        for path in folder.glob(pattern):
            with suppress(OSError):
                path.unlink()


def sha256(path: Path) -> str:
    """Return a file's SHA-256, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _visible(folder: Path) -> bool:
    """Whether anything lies in a folder but hidden files."""
    try:
        return any(not path.name.startswith(".") for path in folder.iterdir())
    except OSError:  # it is not there, or making it says why not
        return False


def _difference(found: Job, job: Job) -> str:
    """Return where two jobs differ first, in words."""
    for field in fields(Job):
        old, new = getattr(found, field.name), getattr(job, field.name)
        if old != new:
            return f"with {field.name} {_short(old)}, not {_short(new)}"
    raise AssertionError("equal jobs do not differ")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 24 else f"{text[:20]}..."


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}; {ELSEWHERE}") from error
