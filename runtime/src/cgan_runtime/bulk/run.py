"""The work of cgan-bulk after its command line is parsed."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cgan_runtime.bulk import local_engine, ray_engine
from cgan_runtime.bulk.job import Job, open_folder, read_job
from cgan_runtime.bulk.shards import check_format, is_complete
from cgan_runtime.errors import OutputError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.inference.threads import available_threads
from cgan_runtime.labels import find_labels
from cgan_runtime.noise import check_seed_and_start

LOCAL, RAY = "local", "ray"
Advance: TypeAlias = Callable[[int], None]


@dataclass(frozen=True)
class BulkRequest:
    """The parsed options of cgan-bulk."""

    class_names: tuple[str, ...]  # empty: every class
    by_digit: bool  # whether the names were given with --digit or --digits
    count: int  # total number of images
    seed: int | None  # None: the seed of the job in the folder, or a random one
    start: int  # index of the first image
    model: Path | None  # None: the shipped model
    provider: str
    output: Path  # folder of the job
    format: str  # "parquet" or "idx"
    shard_images: int
    engine: str  # "local" or "ray"
    workers: int | None  # None: one per CPU
    debug: bool  # whether to show Ray's own output


def run_job(
    request: BulkRequest,
    progress_bar: Callable[[int], AbstractContextManager[Advance]],
    warn: Callable[[str], None],
) -> tuple[Job, int]:
    """Generate all shards that are not complete; return the job and the number of these shards.

    Args:
        request: the parsed options.
        progress_bar: takes the total number of images; its context advances by a number of images.
        warn: called with a message when a worker was killed.

    Raises:
        CganError: an option is wrong for this model, or the run failed.
    """
    if request.engine == RAY:
        ray_engine.check_installed()
    model, job = plan_job(request)
    check_format(job)
    with open_folder(request.output, job, model):
        with progress_bar(job.count) as advance:
            generated = _generate_missing(request, job, advance, warn)
        _check_complete(request.output, job)
    return job, generated


def plan_job(request: BulkRequest) -> tuple[Path, Job]:
    """Return the path of the model and the requested job; raise CganError if they do not fit."""
    seed = request.seed
    if seed is None:
        existing = read_job(request.output)
        seed = existing.seed if existing else int.from_bytes(os.urandom(4), "little")
    # The machine that starts a Ray job may not have the workers' GPU.
    provider = request.provider if request.engine == LOCAL else "cpu"
    with ImageGenerator(request.model, provider, threads=1) as generator:
        info, names = generator.info, request.class_names
        seed, start = check_seed_and_start(seed, request.start, request.count)
        return generator.model_path, Job(
            model_sha256=generator.model_sha256,
            seed=seed,
            start=start,
            count=request.count,
            labels=tuple(find_labels(names, info.class_names, by_digit=request.by_digit)),
            class_names=info.class_names,
            height=info.height,
            width=info.width,
            format=request.format,
            shard_images=request.shard_images,
        )


def _generate_missing(
    request: BulkRequest, job: Job, advance: Advance, warn: Callable[[str], None]
) -> int:
    """Generate the shards that are not complete, and return how many they were."""
    generated = 0
    folder, provider = request.output, request.provider

    def missing() -> Iterator[int]:
        for number in range(job.shards):
            shard = job.shard(number)
            if is_complete(folder, job, shard):
                advance(shard.count)
            else:
                yield number

    if request.engine == RAY:
        shards = ray_engine.generate_shards(
            folder, job, missing(), request.workers, provider, warn, debug=request.debug
        )
    else:
        workers = request.workers or available_threads()
        shards = local_engine.generate_shards(folder, job, missing(), workers, provider, warn)
    with closing(shards):
        for number in shards:
            generated += 1
            advance(job.shard(number).count)
    return generated


def _check_complete(folder: Path, job: Job) -> None:
    """Raise OutputError unless this machine sees every shard."""
    for number in range(job.shards):
        shard = job.shard(number)
        if not is_complete(folder, job, shard):
            raise OutputError(
                f"{shard} were generated, but are missing in {folder}; set --output to a folder "
                "that all machines share and that no other program writes to"
            )
