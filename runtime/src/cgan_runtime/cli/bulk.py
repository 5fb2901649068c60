"""The command cgan-bulk."""

import os
import signal
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import click

from cgan_runtime.cli import class_options, options, runner
from cgan_runtime.cli.terminal import progress_bar
from cgan_runtime.errors import StoppedError

# A shard is 100 batches of MAX_BATCH images, so the split into shards does not change the batches.
# Its images take 80 MB at MNIST's size, or 23 MB as Parquet.
SHARD_IMAGES = 102_400
SHARD_INVALID = (
    "note: the shard of {} is damaged, incomplete or of another job; it is generated again"
)
WORKER_KILLED = "note: a worker was killed; its shard is generated again"

# Python -OO removes docstrings, so the help is not one.
HELP = """\
Generate millions of images in shards, with many processes or machines.

The number of workers does not change the images: image i of a seed is always the same. After an
interruption, run the same command again. It keeps the shards that equal their checksums and
generates the others.
"""
EXAMPLES = """\b
Examples:
  cgan-bulk --count 100000 --output million
  cgan-bulk --count 6000 --seed 1 --format idx --output synthetic
  cgan-bulk --count 250000 --digit 3 --digit 8 --workers 2 --output pairs
  cgan-bulk --count 10000000 --seed 1 --engine ray --output /shared/digits
"""


@click.command("cgan-bulk", cls=class_options.Command, help=HELP, epilog=EXAMPLES)
@options.integer(
    "--count",
    1,
    options.MAX_INT64,
    "Number of images of each class. The classes alternate from image to image.",
    required=True,
)
@class_options.digit
@class_options.digits
@class_options.label
@options.seed(default="the seed of the job in --output, or random")
@options.start
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the job. If it holds a part of the same job, the run continues it.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "idx"]),
    default="parquet",
    show_default=True,
    help="parquet: files with image, label, seed and index; needs cgan-runtime[parquet]. idx: "
    "pairs of files with images and labels in MNIST's format (gray only).",
)
@options.integer(
    "--shard-images", 1, 2**32 - 1, "Images per shard.", default=SHARD_IMAGES, show_default=True
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="local: processes on this machine. ray: the Ray cluster at RAY_ADDRESS, such as auto for "
    "the one that runs on this machine, or without RAY_ADDRESS a new one that only this command "
    "can reach; needs cgan-runtime[ray], and --output on a disk that all machines share.",
)
@options.integer(
    "--workers", 1, 100_000, "Number of processes, with one thread each.  [default: one per CPU]"
)
@options.model
@options.expect_sha256
@options.provider
@options.quiet()
@options.debug
@options.version
def command(
    digit: tuple[int, ...],
    digits: tuple[int, ...] | None,
    label: tuple[str, ...],
    count: int,
    seed: int | None,
    start: int,
    output: Path,
    file_format: str,
    shard_images: int,
    engine: str,
    workers: int | None,
    model: Path | None,
    expect_sha256: str | None,
    provider: str,
    quiet: bool,
    debug: bool,
) -> None:
    """Generate millions of images in shards, with many processes or machines."""
    names = class_options.select_classes(digit, digits, label)
    runner.require_memory()
    from cgan_runtime.bulk import local_engine, ray_engine, shards
    from cgan_runtime.bulk.job import Job, open_folder, read_job
    from cgan_runtime.bulk.model import read_model
    from cgan_runtime.inference.session import limit_log
    from cgan_runtime.labels import find_labels
    from cgan_runtime.noise import check_seed_and_start

    limit_log()
    generate_shards: Any = local_engine.generate_shards
    if engine == "ray":
        ray_engine.check_installed()
        generate_shards = partial(ray_engine.generate_shards, debug=debug)

    def note(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    def report_invalid(shard: object) -> None:
        note(SHARD_INVALID.format(shard))

    # The machine that starts a Ray job may not have the workers' GPU.
    own_provider = "cpu" if engine == "ray" else provider
    try:
        if seed is None:
            existing = read_job(output)
            seed = existing.seed if existing else int.from_bytes(os.urandom(4), "little")
        content, model_sha256, info = read_model(model, own_provider, expect_sha256)
        job = Job(
            model_sha256=model_sha256,
            seed=seed,
            start=start,
            count=count,
            labels=tuple(find_labels(names, info.class_names, by_digit=not label)),
            class_names=info.class_names,
            channels=info.channels,
            height=info.height,
            width=info.width,
            format=file_format,
            shard_images=shard_images,
        )
        check_seed_and_start(seed, start, job.images)
        shards.check_format(job)
        shards.require_job_space(output, job)
        with open_folder(output, job, content):
            with progress_bar(job.images, quiet=quiet) as advance:
                missing = shards.missing_shards(output, job, advance, report_invalid)
                generated = 0
                on_kill = partial(note, WORKER_KILLED)
                arguments = (output, job, missing, workers, provider, on_kill)
                with closing(generate_shards(*arguments)) as numbers:
                    for number in numbers:
                        generated += 1
                        advance(job.shard(number).images)
            shards.require_complete(output, job)
    except (KeyboardInterrupt, runner.Terminated) as error:
        raise StoppedError(
            f"stopped; {output} keeps its complete shards, run the same command again to "
            "generate the others",
            getattr(error, "signal_number", signal.SIGINT),
        ) from None
    if quiet:
        return
    kept = f", {job.shards - generated:,} of them kept" if generated < job.shards else ""
    click.echo(
        f"{output}  seed {job.seed}  {job.images:,} images in {job.shards:,} "
        f"shard{'s' * (job.shards > 1)}{kept}",
        color=True,  # otherwise click removes an escape sequence from the path
    )


def main() -> None:
    """Run cgan-bulk and exit with its exit code."""
    runner.run(command)
