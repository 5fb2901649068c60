"""The options --digit, --digits and --label, and suggestions of options for wrong arguments."""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cgan_runtime.cli import options
from cgan_runtime.errors import InputError

OPTIONS = ("--digit", "--digits", "--label")
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MAX_SUGGESTED = 100  # largest number of characters of a suggested value
# The option that takes a file, by its extension.
FILE_OPTIONS = {".onnx": "--model", ".pt": "--model", ".png": "--output", ".npy": "--output"}


class _Digit(options.Integer):
    """A digit from 0 to 9. The error for any other value suggests an option."""

    def __init__(self) -> None:
        super().__init__(0, 9)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return super().convert(value, param, ctx)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message}{_suggest_class(str(value))}", ctx) from None


def _parse_digits(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not re.fullmatch("[0-9]+", value):
        message = f"--digits must contain only 0-9, got {value!r}"
        raise click.UsageError(f"{message}{_suggest_class(value)}")
    return tuple(map(int, value))


digit = click.option(
    "--digit",
    type=_Digit(),
    multiple=True,
    help="Digit to generate, 0 to 9. Repeat the option for several digits.",
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
    help="Class to generate, by its name in the model. Repeat the option for several classes.",
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


def find_labels(
    names: Sequence[str], class_names: Sequence[str], *, from_label_option: bool
) -> list[int]:
    """Return the labels of the requested class names, or all labels if no class was requested.

    Unless the names come from --label, the error for a missing class suggests --label.
    """
    from cgan_runtime.labels import find_label

    if not names:
        return list(range(len(class_names)))
    try:
        return [find_label(name, class_names) for name in names]
    except InputError as error:
        if from_label_option:
            raise
        raise InputError(f"{error}, with --label") from error


class OptionsOnlyCommand(click.Command):
    """A command that takes only options. The error for an argument suggests the matching option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True
        arguments = super().parse_args(ctx, args)
        if arguments and not ctx.resilient_parsing:
            text, suggestion = " ".join(arguments), self._suggest_option(ctx, arguments)
            raise click.UsageError(f"{self.name} takes only options, got {text!r}{suggestion}", ctx)
        return arguments

    def _suggest_option(self, ctx: click.Context, arguments: list[str]) -> str:
        """Return the end of an error message that suggests an option for the arguments, or ""."""
        text = " ".join(arguments)
        option = _path_option(text)
        if any(option in param.opts for param in self.params):
            return f"; write {option} {shlex.quote(text)}"
        if "digit" not in ctx.params:  # the command has no options for classes
            return ""
        # In `--digits 20 26` and `--label Ankle boot`, the arguments continue the option's value.
        digit, digits, names = (ctx.params[option.removeprefix("--")] for option in OPTIONS)
        number = "".join(map(str, digit or digits or ()))
        words = [number] if number else names
        return _suggest_class(" ".join([*words, *arguments]).strip())


def _path_option(path: str) -> str | None:
    """Return the option that takes a path of this type. A folder is taken for a run directory."""
    is_folder = os.path.isdir(path)  # noqa: PTH112 - Path.is_dir() raises if the name is too long
    return "--model" if is_folder else FILE_OPTIONS.get(Path(path).suffix.lower())


def _suggest_class(text: str) -> str:
    """Return the end of an error message that suggests a class option for a text, or ""."""
    if len(text) > MAX_SUGGESTED:
        return ""
    words = re.split(r"[\s,;]+", text.lower().strip("[]()"))
    digits = "".join(
        str(NUMBER_WORDS.index(word)) if word in NUMBER_WORDS else word for word in words
    )
    if re.fullmatch("[0-9]+", digits):
        option = "--digit" if len(digits) == 1 else "--digits"
        return f"; write {option} {digits}"
    has_letter = re.search(r"[^\W\d_]", text)
    if has_letter and not re.search("[0-9]", text):
        return f"; for a class of this name, write --label {shlex.quote(text)}"
    return ""
