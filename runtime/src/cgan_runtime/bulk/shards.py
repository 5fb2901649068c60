"""Write the files of a shard with their checksums, and check whether they are complete."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from hashlib import sha256
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cgan_runtime.bulk.job import (
    CHECKSUMS,
    MANIFEST,
    MODEL,
    SHARDS,
    Job,
    Shard,
    read_job,
    replace_file,
)
from cgan_runtime.errors import (
    InstallError,
    ModelError,
    OutputError,
    raised_by_user_code,
    suppress_internal,
)
from cgan_runtime.files import require_space
from cgan_runtime.generator import Batch, ImageGenerator
from cgan_runtime.images.writers import (
    IDX_NAMES,
    MAX_COMPRESSION,
    require_idx_support,
    write_idx_pair,
)
from cgan_runtime.inference.session import limit_log
from cgan_runtime.labels import label_batches
from cgan_runtime.model_file.contract import IMAGE, LABEL, MAX_BATCH, PREFIX

ROW_GROUP_BYTES = 13 * 2**20  # size of the images in a Parquet row group, which is held in memory
MAX_CHECKSUMS_BYTES = 4096  # largest size of a shard's checksums file
HASH_CHUNK_BYTES = 2**20
COMPRESSION, COMPRESSION_LEVEL = "zstd", 1  # docs/scaling.md compares times and sizes
MAX_ATTEMPTS = 3  # if the workers of one shard are killed this often, the job fails


class StopWorker(Exception):  # noqa: N818 - not an error
    """The run stops, so the worker abandons its current shard."""


class Worker:
    """Generates shards of the job in a folder, with one session and one thread.

    A worker calls should_stop before each batch, and abandons the shard if the result is True.
    """

    def __init__(
        self, folder: Path, job: Job, provider: str, should_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._folder, self._job, self._provider = folder, job, provider
        self._should_stop = should_stop
        self._generator: ImageGenerator | None = None

    def generate(self, number: int) -> None:
        """Write the shard with this number and its checksums, unless it is complete.

        Raises:
            CganError: the shard cannot be written, or the folder does not hold the job.
            StopWorker: the shard was abandoned; none of its files exists.
        """
        generator, shard = self._open_generator(), self._job.shard(number)
        if is_complete(self._folder, self._job, shard):
            return
        batches = self._batches(generator, shard)
        paths = _paths(self._folder, self._job, shard)
        with ExitStack() as stack:
            files = [_HashingFile(stack.enter_context(replace_file(path))) for path in paths]
            outputs: list[Any] = [*files]
            if self._job.format == "parquet":
                _write_parquet(outputs[0], batches, self._job)
            else:
                write_idx_pair(
                    outputs, batches, self._job.height, self._job.width, shard.num_images
                )
        hashes = [file.sha256.hexdigest() for file in files]
        with replace_file(_checksums_path(self._folder, shard)) as file:
            text = json.dumps(_describe(self._job, shard, hashes), indent=2)
            file.write(text.encode() + b"\n")

    def _open_generator(self) -> ImageGenerator:
        """Return the generator. The first call checks the folder and opens the model."""
        if self._generator:
            return self._generator
        if read_job(self._folder) != self._job:
            raise OutputError(
                f"a worker does not see this job's {self._folder / MANIFEST}; set --output to a "
                "folder that all machines share, at the same path"
            )
        limit_log()
        generator = ImageGenerator(self._folder / MODEL, self._provider, threads=1)
        if generator.model_sha256 != self._job.model_sha256:
            raise ModelError(
                f"{generator.model_path} is not the model of this job; choose another folder"
            )
        self._generator = generator
        return generator

    def _batches(self, generator: ImageGenerator, shard: Shard) -> Iterator[Batch]:
        job, first = self._job, shard.first - self._job.start
        part = range(first, first + shard.num_images)
        for position, labels in label_batches(job.labels, part, MAX_BATCH):
            if self._should_stop():
                raise StopWorker
            start = job.start + position
            yield Batch(start, labels, generator.generate(labels, seed=job.seed, start=start))


class _HashingFile:
    """A file that computes the SHA-256 of the written bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = sha256()

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        return self._file.write(content)

    def __getattr__(self, name: str) -> Any:  # pyarrow asks for closed and flush()
        return getattr(self._file, name)


def is_complete(folder: Path, job: Job, shard: Shard) -> bool:
    """Return whether a shard's files match the checksums that were written with them.

    Raises:
        OutputError: a file exists but cannot be read.
    """
    path = _checksums_path(folder, shard)
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            expected = json.loads(file.read(MAX_CHECKSUMS_BYTES))
        hashes = [_hash_file(path) for path in _paths(folder, job, shard)]
    except (FileNotFoundError, ValueError, RecursionError) as error:
        if raised_by_user_code(error):
            raise
        return False
    except OSError as error:
        if raised_by_user_code(error):
            raise
        reason = f"{error.strerror}; check its permissions and the disk"
        raise OutputError(f"cannot read {error.filename}: {reason}") from error
    return bool(expected == _describe(job, shard, hashes))


def _hash_file(path: Path) -> str:
    """Return the SHA-256 of a file; raise FileNotFoundError if it is not a regular file."""
    if not path.is_file():
        raise FileNotFoundError(path)
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _describe(job: Job, shard: Shard, hashes: list[str]) -> dict[str, Any]:
    """Return the content of a shard's checksums file."""
    names = [path.name for path in _paths(Path(), job, shard)]
    return {
        "job_sha256": job.sha256,
        "model_sha256": job.model_sha256,
        "seed": job.seed,
        "first": shard.first,
        "images": shard.num_images,
        "sha256": dict(zip(names, hashes, strict=True)),
    }


def missing_shards(
    folder: Path,
    job: Job,
    advance: Callable[[int], None],
    on_invalid: Callable[[Shard], None],
) -> Iterator[int]:
    """Yield the numbers of the shards to generate.

    Args:
        folder: folder of the job.
        job: the job in the folder.
        advance: called with the number of images of each complete shard.
        on_invalid: called with each shard whose files exist, but do not match their checksums.
    """
    for number in range(job.num_shards):
        shard = job.shard(number)
        if is_complete(folder, job, shard):
            advance(shard.num_images)
            continue
        if any(map(os.path.lexists, _paths(folder, job, shard))):
            on_invalid(shard)
        yield number


def require_complete(folder: Path, job: Job) -> None:
    """Raise OutputError if a file of a shard is missing on this machine."""
    for shard in map(job.shard, range(job.num_shards)):
        paths = [*_paths(folder, job, shard), _checksums_path(folder, shard)]
        if not all(path.is_file() for path in paths):
            raise OutputError(
                f"{shard} were generated, but are missing in {folder}; set --output to a folder "
                "that all machines share and that no other program writes to"
            )


def check_format(job: Job) -> None:
    """Raise InputError or InstallError if the job cannot be written in its format."""
    if job.format == "parquet" and find_spec("pyarrow") is None:
        raise InstallError(
            "--format parquet needs pyarrow; pip install 'cgan-runtime[parquet]', or use "
            "--format idx"
        )
    if job.format == "idx":
        shard = job.shard(0)
        require_idx_support(job.channels, len(job.class_names), shard.num_images, "parquet")


def require_job_space(folder: Path, job: Job) -> None:
    """Raise OutputError if the disk has no space for the missing shards."""
    pixels = job.num_images * job.channels * job.height * job.width
    job_bytes = pixels + job.num_images if job.format == "idx" else pixels // MAX_COMPRESSION
    existing_bytes = 0
    with suppress_internal(OSError):  # there is no folder yet
        existing_bytes = sum(path.stat().st_size for path in (folder / SHARDS).iterdir())
    require_space(folder, job_bytes - existing_bytes)


def _paths(folder: Path, job: Job, shard: Shard) -> list[Path]:
    names = ("{}.parquet",) if job.format == "parquet" else IDX_NAMES
    return [folder / SHARDS / name.format(shard.name) for name in names]


def _checksums_path(folder: Path, shard: Shard) -> Path:
    return folder / CHECKSUMS / f"{shard.name}.json"


def _write_parquet(file: BinaryIO, batches: Iterator[Batch], job: Job) -> None:
    """Write images, labels, seed and indices as Parquet.

    An image is a binary value of channels * height * width bytes, channel by channel and row by
    row. NumPy can view a column of images as one array without a copy. With a fixed-size binary
    type, fastparquet and NumPy would drop zero bytes at the end of an image. With a list of uint8,
    Parquet would store each pixel as a 32-bit integer and a repetition level.
    """
    import pyarrow as pa
    from pyarrow import parquet

    size = job.channels * job.height * job.width
    columns = {IMAGE: pa.binary(), LABEL: pa.int64(), "seed": pa.uint64(), "index": pa.int64()}
    metadata = {
        f"{PREFIX}class_names": json.dumps(list(job.class_names), ensure_ascii=False),
        f"{PREFIX}channels": str(job.channels),
        f"{PREFIX}height": str(job.height),
        f"{PREFIX}width": str(job.width),
        f"{PREFIX}model_sha256": job.model_sha256,
    }
    schema = pa.schema(columns, metadata)

    def to_rows(batch: Batch) -> Any:
        count = len(batch.labels)
        pixels = pa.py_buffer(np.ascontiguousarray(batch.images))
        offsets = pa.py_buffer(np.arange(count + 1, dtype=np.int32) * np.int32(size))
        values = [
            pa.BinaryArray.from_buffers(pa.binary(), count, [None, offsets, pixels]),
            batch.labels,
            np.full(count, job.seed, np.uint64),
            batch.start + np.arange(count, dtype=np.int64),
        ]
        return pa.record_batch(values, schema=schema)

    with parquet.ParquetWriter(
        file,
        schema,
        compression=COMPRESSION,
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=[LABEL, "seed"],
        column_encoding={IMAGE: "PLAIN", "index": "DELTA_BINARY_PACKED"},
        write_statistics=[LABEL, "seed", "index"],
    ) as writer:
        group_batches = max(1, ROW_GROUP_BYTES // (MAX_BATCH * size))
        while group := list(islice(batches, group_batches)):
            table = pa.Table.from_batches([to_rows(batch) for batch in group])
            writer.write_table(table, row_group_size=table.num_rows)
