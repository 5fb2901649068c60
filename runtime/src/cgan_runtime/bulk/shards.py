"""Write the files of a shard, and check whether they are complete."""

import json
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cgan_runtime.bulk.job import MANIFEST, MODEL, SHARDS, Job, Shard, read_job
from cgan_runtime.errors import InputError, InstallError, ModelError, OutputError
from cgan_runtime.files import atomic_write
from cgan_runtime.generator import Batch, ImageGenerator
from cgan_runtime.images.writers import IDX_NAMES, write_idx_split
from cgan_runtime.inference.session import limit_log
from cgan_runtime.model_file.contract import IMAGE, LABEL, PREFIX

ROW_GROUP_BATCHES = 16  # batches per row group of Parquet: 13 MB at MNIST's image size
COMPRESSION, COMPRESSION_LEVEL = "zstd", 1  # docs/scaling.md compares time and size


class StopWorker(Exception):  # noqa: N818 - not an error
    """The run stops; the worker abandons its current shard."""


class Worker:
    """Generates shards of the job that a folder holds, with one session and one thread.

    It calls should_stop once per batch, and abandons the shard if that returns True.
    """

    def __init__(
        self, folder: Path, job: Job, provider: str, should_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._folder, self._job, self._provider = folder, job, provider
        self._should_stop = should_stop

    def generate(self, number: int) -> None:
        """Write the shard with this number, unless it is complete.

        Raises:
            CganError: the shard cannot be written, or the folder does not hold the job.
            StopWorker: the shard was abandoned; none of its files exists.
        """
        shard, generator = self._job.shard(number), self._generator
        if is_complete(self._folder, self._job, shard):
            return
        batches = self._batches(shard)
        if self._job.format == "parquet":
            (path,) = _paths(self._folder, self._job, shard)
            with atomic_write(path) as file:
                _write_parquet(file, batches, self._job)
        else:
            folder = self._folder / SHARDS
            write_idx_split(folder, batches, generator.info, shard.count, shard.name, gz=False)

    @cached_property
    def _generator(self) -> ImageGenerator:
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
        return generator

    def _batches(self, shard: Shard) -> Iterator[Batch]:
        seed, first, count = self._job.seed, shard.first, shard.count
        for batch in self._generator.stream(shard.labels, seed=seed, start=first, count=count):
            if self._should_stop():
                raise StopWorker
            yield batch


def is_complete(folder: Path, job: Job, shard: Shard) -> bool:
    """Return whether the files of a shard exist and are complete."""
    paths = _paths(folder, job, shard)
    if not all(path.is_file() for path in paths):
        return False
    if job.format == "idx":
        sizes = [16 + shard.count * job.height * job.width, 8 + shard.count]
        return [path.stat().st_size for path in paths] == sizes
    import pyarrow as pa
    from pyarrow import parquet

    try:
        # An open file, because pyarrow interprets a path as a URI and requires UTF-8.
        with paths[0].open("rb") as file:
            metadata = parquet.read_metadata(file)
    except (pa.ArrowException, OSError):  # Parquet's metadata is at the end of the file
        return False
    return bool(metadata.num_rows == shard.count)


def missing_shards(folder: Path, job: Job, advance: Callable[[int], None]) -> Iterator[int]:
    """Yield the numbers of incomplete shards; call advance with the size of each complete one."""
    for number in range(job.shards):
        shard = job.shard(number)
        if is_complete(folder, job, shard):
            advance(shard.count)
        else:
            yield number


def require_complete(folder: Path, job: Job) -> None:
    """Raise OutputError unless this machine sees every shard."""
    for number in missing_shards(folder, job, lambda _: None):
        raise OutputError(
            f"{job.shard(number)} were generated, but are missing in {folder}; set --output to a "
            "folder that all machines share and that no other program writes to"
        )


def check_format(job: Job) -> None:
    """Raise InputError or InstallError if the job cannot be written in its format."""
    if job.format == "parquet" and find_spec("pyarrow") is None:
        raise InstallError(
            "--format parquet needs pyarrow; pip install 'cgan-runtime[parquet]', or use "
            "--format idx"
        )
    if job.format == "idx" and len(job.class_names) > 256:
        raise InputError(
            f"IDX supports at most 256 classes, got {len(job.class_names)}; use --format parquet"
        )


def _paths(folder: Path, job: Job, shard: Shard) -> list[Path]:
    names = ("{}.parquet",) if job.format == "parquet" else IDX_NAMES
    return [folder / SHARDS / name.format(shard.name) for name in names]


def _write_parquet(file: BinaryIO, batches: Iterator[Batch], job: Job) -> None:
    """Write images, labels, seed and indices as Parquet.

    An image is a fixed-size binary value of height * width bytes, row by row. NumPy can view a
    column of them as one array without a copy. As a list of uint8, Parquet would store each pixel
    as a 32-bit integer with a repetition level.
    """
    import pyarrow as pa
    from pyarrow import parquet

    image_type = pa.binary(job.height * job.width)
    columns = {IMAGE: image_type, LABEL: pa.int64(), "seed": pa.uint64(), "index": pa.int64()}
    metadata = {
        f"{PREFIX}class_names": json.dumps(list(job.class_names), ensure_ascii=False),
        f"{PREFIX}height": str(job.height),
        f"{PREFIX}width": str(job.width),
        f"{PREFIX}model_sha256": job.model_sha256,
    }
    schema = pa.schema(columns, metadata)

    def to_rows(batch: Batch) -> Any:
        count = len(batch.labels)
        pixels = pa.py_buffer(np.ascontiguousarray(batch.images))
        values = [
            pa.FixedSizeBinaryArray.from_buffers(image_type, count, [None, pixels]),
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
        while group := list(islice(batches, ROW_GROUP_BATCHES)):
            table = pa.Table.from_batches([to_rows(batch) for batch in group])
            writer.write_table(table, row_group_size=table.num_rows)
