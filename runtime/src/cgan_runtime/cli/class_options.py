"""The options that choose the classes, and what to write instead of a mistaken form of them."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import click

from cgan_runtime.cli import options

OPTIONS = ("--digit", "--digits", "--label")
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MAX_SUGGESTED = 100  # characters of a suggested value
# By extension.
FILE_OPTIONS = {".onnx": "--model", ".pt": "--model", ".png": "--output", ".npy": "--output"}


class _Digit(options.Integer):
    """A digit. The message about another value says what to write instead."""

    def __init__(self) -> None:
        super().__init__(0, 9)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return super().convert(value, param, ctx)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message}{_advice(str(value))}", ctx) from None


def _parse_digits(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not re.fullmatch("[0-9]+", value):
        message = f"--digits must contain only 0-9, got {value!r}"
        raise click.UsageError(f"{message}{_advice(value)}")
    return tuple(map(int, value))


digit = click.option(
    "--digit",
    type=_Digit(),
    multiple=True,
    help="Digit to generate, 0 to 9. Repeat it for several.",
)
digits = click.option(
    "--digits",
    metavar="STRING",
    callback=_parse_digits,
    help="Digits to generate, as one string such as 2026.",
)
label = click.option(
    "--label",
    metavar="NAME",
    multiple=True,
    help="Class to generate, by its name in the model. Repeat it for several.",
)


def select_classes(
    digit: tuple[int, ...], digits: tuple[int, ...] | None, label: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the requested class names; an empty tuple stands for every class of the model."""
    values = (digit, digits is not None, label)
    given = [option for option, value in zip(OPTIONS, values, strict=True) if value]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} cannot be combined; give only one")
    return label or tuple(map(str, digit or digits or ()))


class Command(click.Command):
    """A command without arguments. The message about an argument says which option it means."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            words = " ".join(rest)
            option = _file_option(words)
            advice = ""
            if any(option in param.opts for param in self.params):
                advice = f"; write {option} {shlex.quote(words)}"
            elif "digit" in ctx.params:
                # `--digits 20 26` and `--label Ankle boot` are one value.
                values = [ctx.params[option.removeprefix("--")] for option in OPTIONS]
                begun = next(filter(None, values), ())
                joint = "" if values[0] or values[1] else " "
                advice = _advice(" ".join([joint.join(map(str, begun)), *rest]).strip())
            raise click.UsageError(f"{self.name} takes only options, got {words!r}{advice}", ctx)
        return rest


def _file_option(path: str) -> str | None:
    """Return the option that takes such a file; for a directory, that of a run directory."""
    is_folder = os.path.isdir(path)  # noqa: PTH112 - Path.is_dir() raises if the name is too long
    return "--model" if is_folder else FILE_OPTIONS.get(Path(path).suffix.lower())


def _advice(text: str) -> str:
    """Return the end of a message that says what to write instead of a text, or nothing."""
    words = [NUMBER_WORDS.index(word) if word in NUMBER_WORDS else word for word in _words(text)]
    joined = "".join(map(str, words))
    if len(text) > MAX_SUGGESTED:
        return ""
    if re.fullmatch("[0-9]+", joined):
        return f"; write --digit{'s' * (len(joined) > 1)} {joined}"
    if re.search("[^\\W\\d_]", text) and not re.search("[0-9]", text):
        return f"; for a class of this name, write --label {shlex.quote(text)}"
    return ""


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,;]+", text.lower().strip("[]()")) if word]
