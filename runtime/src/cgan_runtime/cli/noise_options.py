"""The options of cgan-run that choose the noise, and the check that they fit together."""

import re
from contextlib import suppress
from pathlib import Path

import click

from cgan_runtime.cli import options

DEFAULT_FRAMES, MAX_FRAMES = 48, 100_000
MAX_TRUNCATION = 4
# Options that replace others.
REPLACED = {
    "--noise": ("--seed", "--start", "--count", "--walk"),
    "--walk": ("--seed", "--shard"),
}


def _parse_walk(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    if value is None:
        return None
    match = re.fullmatch("([0-9]{1,20}):([0-9]{1,20})", value)
    seeds = [int(each) for each in match.groups()] if match else []
    if not seeds or max(seeds) > options.MAX_UINT64:
        raise click.UsageError(f"--walk must be two seeds A:B such as 7:8, got {value!r}")
    return seeds[0], seeds[1]


def _parse_truncation(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> float | None:
    if value is None:
        return None
    with suppress(ValueError):
        if 0 <= (factor := float(value)) <= MAX_TRUNCATION:  # not so for NaN
            return factor
    raise click.UsageError(
        f"--truncation must be a number from 0 to {MAX_TRUNCATION}, got {value!r}"
    )


same_noise = click.option(
    "--same-noise",
    is_flag=True,
    help="Use one noise vector for all classes of a row, and another for the next row. A column "
    "shows a class, a row what the noise alone decides, such as slant and stroke width.",
)
walk = click.option(
    "--walk",
    metavar="A:B",
    callback=_parse_walk,
    help="Walk from the noise of seed A to that of seed B, such as 7:8: the first frame has the "
    "images of --seed A, the last one those of --seed B, both with the same --count. A PNG becomes "
    "an animation (APNG), of which programs that cannot play it show the first frame. An array has "
    "the shape [frames, n, channels, height, width].",
)
frames = options.integer(
    "--frames", 2, MAX_FRAMES, f"Number of frames of --walk.  [default: {DEFAULT_FRAMES}]"
)
noise = click.option(
    "--noise",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Use the noise vectors of a .npy file, float32 [n, noise_dim], one per image. A single "
    "one serves all classes. Only multiples of 1/32 within +-127/32 give the same bytes on every "
    "processor.",
)
truncation = click.option(
    "--truncation",
    metavar="F",
    callback=_parse_truncation,
    help="Multiply the noise by F, 0 to 4. Below 1, the images of a class vary less and are more "
    "typical; above 1, they vary more and fail more often. For an int8 file whose images are the "
    "same on every processor, the product is rounded to multiples of 1/32, so that they stay so.",
)


def check(given: set[str]) -> None:
    """Raise click.UsageError if two of the given options contradict each other."""
    for option, replaced in REPLACED.items():
        for other in replaced:
            if {option, other} <= given:
                raise click.UsageError(f"{option} replaces {other}; give only one of them")
    if "--frames" in given and "--walk" not in given:
        raise click.UsageError("--frames belongs to --walk A:B; give both, or leave it out")
