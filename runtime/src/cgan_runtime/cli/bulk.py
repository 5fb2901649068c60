"""The command cgan-bulk."""

import signal
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cgan_runtime.cli import class_options, options, runner
from cgan_runtime.cli.terminal import progress_bar
from cgan_runtime.errors import StoppedError

if TYPE_CHECKING:
    from cgan_runtime.bulk.job import Job

# A shard is 100 batches of MAX_BATCH images, so the split into shards does not change the batches.
# Its images take 80 MB at MNIST's size, or 23 MB as Parquet.
SHARD_IMAGES = 102_400
SHARD_INVALID = (
    "note: the shard with {} is damaged, incomplete or from another job; generating it again"
)
WORKER_KILLED = "note: a worker was killed; generating its shard again"

# The help is a constant, because python -OO removes docstrings.
HELP = """\
Generate millions of images in shards, with many processes or machines.

The number of workers does not change the images: image i of a seed is always the same. After an
interruption, run the same command again. It keeps the shards whose files match their checksums and
generates the rest.
"""
EXAMPLES = """\b
Examples:
  cgan-bulk --count 100000 --output million
  cgan-bulk --count 6000 --seed 1 --format idx --output synthetic
  cgan-bulk --count 250000 --digit 3 --digit 8 --workers 2 --output pairs
  cgan-bulk --count 10000000 --seed 1 --engine ray --output /shared/digits
"""


@click.command(
    "cgan-bulk",
    cls=class_options.OptionsOnlyCommand,
    help=HELP,
    epilog=EXAMPLES,
    context_settings=runner.CONTEXT_SETTINGS,
)
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
@options.start()
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the job. If it holds an unfinished job with the same options, the command "
    "continues that job.",
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
    help="local: use processes on this machine. ray: use the Ray cluster at the address in "
    "RAY_ADDRESS; auto stands for a cluster that runs on this machine. Without RAY_ADDRESS, the "
    "command starts a private cluster on this machine. ray needs cgan-runtime[ray], and an "
    "--output folder that all machines share.",
)
@options.integer(
    "--workers",
    1,
    100_000,
    "Number of workers, with one thread each.  [default: one per CPU of the machine or cluster]",
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
    """Run cgan-bulk with parsed options."""
    names = class_options.select_classes(digit, digits, label)
    runner.require_memory()
    from cgan_runtime.bulk import local_engine, ray_engine, shards
    from cgan_runtime.bulk.job import Job, open_job_folder, read_job
    from cgan_runtime.bulk.model import read_model
    from cgan_runtime.inference.session import limit_log
    from cgan_runtime.noise import check_seed_and_start

    limit_log()
    generate_shards: Any = local_engine.generate_shards
    if engine == "ray":
        ray_engine.check_installed()
        generate_shards = partial(ray_engine.generate_shards, debug=debug)
    # The machine that starts a Ray job may not have the GPU of the workers.
    own_provider = "cpu" if engine == "ray" else provider
    try:
        if seed is None:
            existing = read_job(output)
            seed = existing.seed if existing else options.random_seed()
        content, model_sha256, info = read_model(model, own_provider, expect_sha256)
        labels = class_options.find_labels(names, info.class_names, from_label_option=bool(label))
        job = Job(
            model_sha256=model_sha256,
            seed=seed,
            start=start,
            count=count,
            labels=tuple(labels),
            class_names=info.class_names,
            channels=info.channels,
            height=info.height,
            width=info.width,
            format=file_format,
            shard_images=shard_images,
        )
        check_seed_and_start(seed, start, job.num_images)
        shards.check_format(job)
        shards.require_job_space(output, job)
        with open_job_folder(output, job, content):
            generate = partial(generate_shards, workers=workers, provider=provider)
            generated = _generate_missing_shards(output, job, generate, quiet=quiet)
            shards.require_complete(output, job)
    except (KeyboardInterrupt, runner.Terminated) as error:
        raise StoppedError(
            f"stopped, but {output} keeps its complete shards; run the same command again to "
            "generate the others",
            getattr(error, "signal_number", signal.SIGINT),
        ) from None
    if quiet:
        return
    kept = f", {job.num_shards - generated:,} of them kept" if generated < job.num_shards else ""
    plural = "s" if job.num_shards > 1 else ""
    click.echo(
        f"{output}  seed {job.seed}  {job.num_images:,} images in {job.num_shards:,} "
        f"shard{plural}{kept}",
        color=True,  # otherwise click removes escape sequences from the path
    )


def _generate_missing_shards(
    folder: Path, job: "Job", generate_shards: Callable[..., Any], *, quiet: bool
) -> int:
    """Generate the shards that are missing or invalid, and return their number."""
    from cgan_runtime.bulk.shards import missing_shards

    def note(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    with progress_bar(job.num_images, quiet=quiet) as advance:
        numbers = missing_shards(
            folder, job, advance, on_invalid=lambda shard: note(SHARD_INVALID.format(shard))
        )
        generated = 0
        complete = generate_shards(folder, job, numbers, on_kill=lambda: note(WORKER_KILLED))
        with closing(complete):
            for number in complete:
                generated += 1
                advance(job.shard(number).num_images)
    return generated


def main() -> None:
    """Run cgan-bulk and exit with its exit code."""
    runner.run(command)
