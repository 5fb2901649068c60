"""The options of cgan-run that choose the noise, and the check for contradictions."""

import re
from contextlib import suppress
from pathlib import Path

import click

from cgan_runtime.cli import options

DEFAULT_FRAMES, MAX_FRAMES = 48, 100_000
MAX_TRUNCATION = 4
# Options that cannot be combined with the option before the colon.
CONFLICTS = {
    "--noise": ("--seed", "--start", "--count", "--walk"),
    "--walk": ("--seed", "--shard"),
}


def _parse_walk(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    if value is None:
        return None
    match = re.fullmatch("([0-9]{1,20}):([0-9]{1,20})", value)
    seeds = [int(group) for group in match.groups()] if match else []
    if not seeds or max(seeds) > options.MAX_UINT64:
        raise click.UsageError(f"--walk must be two seeds A:B such as 7:8, got {value!r}")
    return seeds[0], seeds[1]


def _parse_truncation(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> float | None:
    if value is None:
        return None
    with suppress(ValueError):
        if 0 <= (factor := float(value)) <= MAX_TRUNCATION:  # false for NaN
            return factor
    raise click.UsageError(
        f"--truncation must be a number from 0 to {MAX_TRUNCATION}, got {value!r}"
    )


same_noise = click.option(
    "--same-noise",
    is_flag=True,
    help="Use the same noise vector for all classes of a row. Each column shows one class. Within "
    "a row, everything that the noise controls stays the same, such as slant and stroke width.",
)
walk = click.option(
    "--walk",
    metavar="A:B",
    callback=_parse_walk,
    help="Interpolate the noise from seed A to seed B, such as 7:8. The first frame shows the "
    "images of --seed A, and the last frame shows the images of --seed B. A PNG is animated "
    "(APNG); programs without APNG show its first frame. An array has the shape [frames, n, "
    "channels, height, width].",
)
frames = options.integer(
    "--frames", 2, MAX_FRAMES, f"Number of frames of --walk.  [default: {DEFAULT_FRAMES}]"
)
noise = click.option(
    "--noise",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Use the noise vectors of a .npy file, float32 [n, noise_dim], one per image. If the file "
    "has only one vector, all classes use it. Only multiples of 1/32 within +-127/32 give the same "
    "bytes on every processor.",
)
truncation = click.option(
    "--truncation",
    metavar="F",
    callback=_parse_truncation,
    help="Multiply the noise by F, 0 to 4. Below 1, the images of a class vary less and are more "
    "typical; above 1, they vary more and may be malformed. If the model is bit-exact, the scaled "
    "noise is rounded to multiples of 1/32, so that every processor generates the same images.",
)


def check(given: set[str]) -> None:
    """Raise click.UsageError if two of the given options contradict each other."""
    for option, conflicts in CONFLICTS.items():
        for other in conflicts:
            if {option, other} <= given:
                raise click.UsageError(f"{option} cannot be combined with {other}; leave one out")
    if "--frames" in given and "--walk" not in given:
        raise click.UsageError("--frames needs --walk A:B; add --walk, or leave out --frames")
