"""Command-line options that several commands have, and their types."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import click

from cgan_runtime import __version__
from cgan_runtime.errors import InputError
from cgan_runtime.thread_limit import MAX_THREADS

Decorator: TypeAlias = Callable[[Any], Any]
MAX_INT64, MAX_UINT64 = 2**63 - 1, 2**64 - 1
HIDDEN_MAXIMUM = 2**31 - 1  # messages leave out a larger maximum, unless the value exceeds it
STDOUT = "-"  # argument of --output that stands for stdout


class Integer(click.ParamType):  # type: ignore[type-arg]  # not generic in older versions
    """An integer in a range. The help shows N; click.IntRange would show the long limits."""

    name = "N"

    def __init__(self, minimum: int, maximum: int) -> None:
        self._minimum, self._maximum = minimum, maximum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number = self._minimum - 1
        with suppress(ValueError):
            if self._minimum <= (number := int(value)) <= self._maximum:
                return number
        limits = f"from {self._minimum} to {self._maximum}"
        if self._maximum >= HIDDEN_MAXIMUM and number <= self._maximum:
            limits = f"of {self._minimum} or more"
        name = param.opts[0] if param else "value"
        raise click.UsageError(f"{name} must be a whole number {limits}, got {value!r}", ctx)


def integer(name: str, minimum: int, maximum: int, text: str, **settings: Any) -> Decorator:
    """Return an option that takes an integer from minimum to maximum, with text as its help."""
    return click.option(name, type=Integer(minimum, maximum), help=text, **settings)


def _check_provider(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    from cgan_runtime.providers import parse_provider

    try:
        parse_provider(value)
    except InputError as error:
        raise click.UsageError(f"--provider: {error}") from error
    return value


def _parse_sha256(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    from cgan_runtime.model_file.checksum import parse_sha256

    try:
        return None if value is None else parse_sha256(value)
    except InputError as error:
        raise click.UsageError(f"--expect-sha256: {error}") from error


def random_seed() -> int:
    """Return a random seed, 0 <= seed < 2**32."""
    return int.from_bytes(os.urandom(4), "little")


def given_options(context: click.Context) -> set[str]:
    """Return the names of the options that the user passed, such as --count."""
    source = click.core.ParameterSource.COMMANDLINE
    names = [name for name in context.params if context.get_parameter_source(name) is source]
    return {f"--{name.replace('_', '-')}" for name in names}


def seed(default: str) -> Decorator:
    """Return the option --seed; the help states the default."""
    text = "Seed of the noise, a whole number. The same seed generates the same images."
    return integer("--seed", 0, MAX_UINT64, f"{text}  [default: {default}]")


def threads(default: str) -> Decorator:
    """Return the option --threads; the help states the default."""
    text = f"Number of CPU threads, 1 to {MAX_THREADS}."
    return integer("--threads", 1, MAX_THREADS, f"{text}  [default: {default}]")


def quiet(result: str = "") -> Decorator:
    """Return the option --quiet; the help names the part of the result that is printed anyway."""
    printed = f"errors, warnings and {result}" if result else "errors and warnings"
    return click.option("--quiet", "-q", is_flag=True, help=f"Print only {printed}.")


def start(note: str = "") -> Decorator:
    """Return the option --start; the note in the help says when the index counts rows."""
    text = f"Index of the first image{note}, to continue where an earlier run with this seed"
    return integer("--start", 0, MAX_INT64, f"{text} ended.", default=0, show_default=True)


model = click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Model file written by cgan-export.  [default: the MNIST model in this package]",
)
expect_sha256 = click.option(
    "--expect-sha256",
    metavar="HEX",
    callback=_parse_sha256,
    help="Reject the model file unless its SHA-256 hash equals this one.",
)
provider = click.option(
    "--provider",
    metavar="NAME[:KEY=VALUE,...]",
    default="auto",
    show_default=True,
    callback=_check_provider,
    help="Execution provider of ONNX Runtime: cpu, cuda or another one that cgan-check lists. "
    "Options follow a colon, such as cuda:device_id=1. auto uses CUDA if it works, otherwise the "
    "CPU.",
)
debug = click.option("--debug", is_flag=True, help="Show the Python traceback of an error.")
version = click.version_option(__version__, message="%(prog)s %(version)s")
