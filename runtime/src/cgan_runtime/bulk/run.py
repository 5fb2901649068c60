"""What `cgan-bulk` does once its command line is understood."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from cgan_runtime.bulk import local_engine, ray_engine
from cgan_runtime.bulk.job import Job, opened, read_job
from cgan_runtime.bulk.shards import check_format, is_whole
from cgan_runtime.bulk.signals import terminations_interrupt
from cgan_runtime.errors import OutputError, StoppedError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.images.terminal import is_terminal
from cgan_runtime.inference.threads import available_threads
from cgan_runtime.labels import find_labels
from cgan_runtime.noise import check_seed_and_start

LOCAL, RAY = "local", "ray"


@dataclass(frozen=True)
class BulkRequest:
    """What was asked for."""

    names: tuple[str, ...]  # of classes; none: every class
    by_digit: bool  # whether they were given as digits
    count: int  # of images in all
    seed: int | None  # None: the folder's, or a new one
    start: int  # index of the first image
    model: Path | None  # None: the one that ships
    provider: str
    output: Path  # the job's folder
    format: str  # "parquet" or "idx"
    shard_images: int
    engine: str  # "local" or "ray"
    workers: int | None  # None: one a CPU
    debug: bool  # whether to show what Ray says


def run(order: BulkRequest) -> None:
    """Draw all shards that are not there yet, and say where they are.

    Raises:
        CganError: something was wrong with what was asked for, or failed.
        StoppedError: a signal came.
    """
    if order.engine == RAY:
        ray_engine.check_installed()
    model, job = job_of(order)
    check_format(job)
    with opened(order.output, job, model):
        drawn = draw(order, job)
        check_whole(order.output, job)
    kept = job.shards - drawn
    words = f", {kept:,} of them kept" if kept else ""
    click.echo(
        f"{order.output}  seed {job.seed}  {job.count:,} images in {job.shards:,} "
        f"shard{'s' * (job.shards > 1)}{words}",
        color=True,  # else a path with an escape in it loses that
    )


def job_of(order: BulkRequest) -> tuple[Path, Job]:
    """Return the model's file and the job that was asked for.

    Raises:
        CganError: the model cannot be opened, or cannot draw it.
    """
    seed = order.seed
    if seed is None:
        found = read_job(order.output)
        seed = found.seed if found else int.from_bytes(os.urandom(4), "little")
    # On Ray's head there may be no GPU.
    provider = order.provider if order.engine == LOCAL else "cpu"
    with ImageGenerator(order.model, provider, threads=1) as generator:
        info = generator.info
        seed, start = check_seed_and_start(seed, order.start, order.count)
        return generator.model_path, Job(
            model_sha256=generator.model_sha256,
            seed=seed,
            start=start,
            count=order.count,
            labels=tuple(find_labels(order.names, info.class_names, by_digit=order.by_digit)),
            class_names=info.class_names,
            height=info.height,
            width=info.width,
            format=order.format,
            shard_images=order.shard_images,
        )


def draw(order: BulkRequest, job: Job) -> int:
    """Draw the shards that are not there, and return how many there were.

    Raises:
        CganError: it failed.
        StoppedError: a signal came.
    """
    drawn = 0
    with progress(job) as advance, terminations_interrupt() as received:

        def missing() -> Iterator[int]:
            for number in range(job.shards):
                shard = job.shard(number)
                if is_whole(order.output, job, shard):
                    advance(shard.count)
                else:
                    yield number

        def note(text: str) -> None:
            click.echo(f"note: {text}", err=True)

        if order.engine == RAY:
            shards = ray_engine.drawn(
                order.output,
                job,
                missing(),
                order.workers,
                order.provider,
                note,
                debug=order.debug,
            )
        else:
            workers = order.workers or available_threads()
            shards = local_engine.drawn(order.output, job, missing(), workers, order.provider, note)
        try:
            with closing(shards):
                for number in shards:
                    drawn += 1
                    advance(job.shard(number).count)
        except KeyboardInterrupt:
            raise StoppedError(
                f"stopped; the shards in {order.output} are whole, the same command draws the rest",
                received[0] if received else signal.SIGINT,
            ) from None
    return drawn


def check_whole(folder: Path, job: Job) -> None:
    """Check that every shard is there, as this machine sees it.

    Raises:
        OutputError: one is not.
    """
    for number in range(job.shards):
        shard = job.shard(number)
        if not is_whole(folder, job, shard):
            raise OutputError(
                f"{shard} were drawn, but are not in {folder}; --output must be a folder that "
                "all machines share, and that nobody else writes to"
            )


@contextmanager
def progress(job: Job) -> Iterator[Callable[[int], None]]:
    """Show a bar where stderr is a terminal; yield what advances it by a number of images."""
    if not is_terminal(sys.stderr):
        yield lambda _: None
        return
    with click.progressbar(length=job.count, label="drawing", file=sys.stderr) as bar:
        yield bar.update
