"""A shard's files: drawn whole, told from broken ones."""

import json
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cgan_runtime.bulk.job import MANIFEST, MODEL, SHARDS, Job, Shard, read_job
from cgan_runtime.errors import InputError, InstallError, ModelError, OutputError
from cgan_runtime.files import atomic_write
from cgan_runtime.generator import Batch, ImageGenerator
from cgan_runtime.images.writers import IDX_NAMES, idx_files
from cgan_runtime.model_file.contract import IMAGE, LABEL, PREFIX

FORMATS = ("parquet", "idx")
ROW_GROUP = 16  # batches that a row group of Parquet holds: 13 MB of MNIST's size
KILLED = "a worker was killed; what it was drawing is drawn again"
CODEC, LEVEL = "zstd", 1  # see docs/scaling.md for what it costs and saves


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The run is to end: the shard that is being drawn is given up."""


class Worker:
    """Draws a job's shards in its folder: one session, opened for the first one, and one thread.

    Args:
        folder: the job's.
        job: what the folder is to hold.
        provider: as of ImageGenerator.
        stopped: says whether to give up; asked before each batch.
    """

    def __init__(
        self, folder: Path, job: Job, provider: str, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self._folder, self._job, self._provider, self._stopped = folder, job, provider, stopped

    def draw(self, number: int) -> None:
        """Write a shard, unless it is whole.

        Raises:
            OutputError: it cannot be written, or this machine does not see the folder.
            CganError: as ImageGenerator.
            Stopped: it was given up, and nothing of it is there.
        """
        shard, generator = self._job.shard(number), self._generator
        if is_whole(self._folder, self._job, shard):
            return
        batches = self._batches(generator, shard)
        if self._job.format == "parquet":
            with atomic_write(parquet_path(self._folder, shard)) as file:
                write_parquet(file, batches, self._job)
            return
        with idx_files(
            self._folder / SHARDS, shard.name, generator.info, shard.count, gz=False
        ) as (images, labels):
            for batch in batches:
                images.write(batch.images.tobytes())
                labels.write(batch.labels.astype(np.uint8).tobytes())

    @cached_property
    def _generator(self) -> ImageGenerator:
        if read_job(self._folder) != self._job:
            raise OutputError(
                f"a worker does not see this job's {self._folder / MANIFEST}; --output must be a "
                "folder that all machines share, at the same path"
            )
        generator = ImageGenerator(self._folder / MODEL, self._provider, threads=1)
        if generator.model_sha256 != self._job.model_sha256:
            raise ModelError(f"{generator.model_path} is not the job's; choose another folder")
        return generator

    def _batches(self, generator: ImageGenerator, shard: Shard) -> Iterator[Batch]:
        stream = generator.stream(
            shard.labels, seed=self._job.seed, start=shard.first, count=shard.count
        )
        for batch in stream:
            if self._stopped():
                raise Stopped
            yield batch


def is_whole(folder: Path, job: Job, shard: Shard) -> bool:
    """Whether all of a shard is there."""
    if job.format == "idx":
        sizes = (16 + shard.count * job.height * job.width, 8 + shard.count)
        paths = [folder / SHARDS / name.format(shard.name) for name in IDX_NAMES]
        return all(
            path.is_file() and path.stat().st_size == size
            for path, size in zip(paths, sizes, strict=True)
        )
    path = parquet_path(folder, shard)
    if not path.is_file():
        return False
    pa, parquet = import_pyarrow()
    try:
        with path.open("rb") as file:  # pyarrow takes a path for a URI, and needs it in UTF-8
            found = parquet.read_metadata(file)
    except (pa.ArrowException, OSError):  # its end, where Parquet keeps them, is not there
        return False
    return bool(found.num_rows == shard.count)


def check_format(job: Job) -> None:
    """Check that the job can be written in its format, here.

    Raises:
        InputError: the format cannot hold it.
        InstallError: what writes it is not installed.
    """
    if job.format == "parquet":
        import_pyarrow()
    elif len(job.class_names) > 256:
        raise InputError(
            f"IDX files hold at most 256 classes, not {len(job.class_names)}; use --format parquet"
        )


def parquet_path(folder: Path, shard: Shard) -> Path:
    """Return where a Parquet shard lies."""
    return folder / SHARDS / f"{shard.name}.parquet"


def write_parquet(file: BinaryIO, batches: Iterator[Batch], job: Job) -> None:
    """Write images, labels, the seed and indices as Parquet.

    An image is a fixed-size binary of height * width bytes, row by row: numpy sees a column's
    images as one array without a copy, and Parquet stores them as they are. It would store a list
    of uint8 as a 32-bit integer and a level a pixel.
    """
    pa, parquet = import_pyarrow()
    image = pa.binary(job.height * job.width)
    columns = {
        IMAGE: image,
        LABEL: pa.int64(),
        "seed": pa.uint64(),
        "index": pa.int64(),
    }
    told = {
        "class_names": json.dumps(list(job.class_names), ensure_ascii=False),
        "height": str(job.height),
        "width": str(job.width),
        "model_sha256": job.model_sha256,
    }
    schema = pa.schema(columns, {f"{PREFIX}{key}": value for key, value in told.items()})

    def rows(batch: Batch) -> Any:
        count = len(batch.labels)
        pixels = pa.py_buffer(np.ascontiguousarray(batch.images))
        return pa.record_batch(
            [
                pa.FixedSizeBinaryArray.from_buffers(image, count, [None, pixels]),
                batch.labels,
                np.full(count, job.seed, np.uint64),
                batch.start + np.arange(count, dtype=np.int64),
            ],
            schema=schema,
        )

    with parquet.ParquetWriter(
        file,
        schema,
        compression=CODEC,
        compression_level=LEVEL,
        use_dictionary=[LABEL, "seed"],
        column_encoding={IMAGE: "PLAIN", "index": "DELTA_BINARY_PACKED"},
        write_statistics=[LABEL, "seed", "index"],
    ) as writer:
        while group := list(islice(batches, ROW_GROUP)):
            table = pa.Table.from_batches([rows(batch) for batch in group])
            writer.write_table(table, row_group_size=table.num_rows)


def import_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its module for Parquet.

    Raises:
        InstallError: they are not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise InstallError(
            "Parquet needs pyarrow; pip install 'cgan-runtime[parquet]', or use --format idx"
        ) from error
    return pa, parquet
