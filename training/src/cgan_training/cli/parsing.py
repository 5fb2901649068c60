"""How cgan-train parses its command line: --set, run directories, and frequent mistakes."""

import os
import shlex
from pathlib import Path
from typing import Any

import click

from cgan_training.recipe import matching_keys, parse_override


class TrainCommand(click.Command):
    """A command with better error messages for recipe keys given as options, and for arguments."""

    allow_extra_args = True  # so that parse_args() can report them

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the command line; see click.Command."""
        words = list(args)
        try:
            extra = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if message := _recipe_key_error(error.option_name, words):
                raise click.UsageError(message, ctx) from None
            raise
        if extra and not ctx.resilient_parsing:
            raise click.UsageError(
                f"cgan-train takes only options, got {extra[0]!r}; name images with --dataset, a "
                "recipe with --recipe, and a run with --resume or --start-from",
                ctx,
            )
        return extra


class RunDirectory(click.Path):
    """The directory of a run."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Reject a file, such as the model.pt of a run."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if os.path.isfile(path):  # noqa: PTH113 - Path.is_file() raises if the name is too long
            name = param.opts[0] if param else "the option"
            raise click.UsageError(
                f"{name} takes the directory of a run, and {str(path)!r} is a file; write {name} "
                f"{shlex.quote(str(path.parent))}",
                ctx,
            )
        return path


def _recipe_key_error(option: str, words: list[str]) -> str:
    """Return an error message for an unknown option that is a recipe key; "" for other options."""
    index = next(i for i, word in enumerate(words) if word.startswith(option))
    option, _, value = words[index].partition("=")
    next_word = words[index + 1] if index + 1 < len(words) else "--"
    value = value or ("VALUE" if next_word.startswith("--") else next_word)
    keys = matching_keys(option.lstrip("-"))
    commands = " or ".join(f"--set {shlex.quote(f'{key}={value}')}" for key in keys)
    return f"{option} is a key of the recipe, not an option; write {commands}" if keys else ""


def _parse(text: str) -> tuple[str, Any]:
    try:
        return parse_override(text)
    except ValueError as error:
        raise click.UsageError(
            f"--set {text!r:.40} is invalid: {error}; write --set batch_size=64, or --set "
            "generator.hidden=[256,256] for a key of a table"
        ) from None


overrides = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    callback=lambda _ctx, _param, texts: dict(map(_parse, texts)),
    help="Use another value for a key of the recipe: batch_size=64, or generator.hidden=[256,256] "
    "for a key of a table (docs/reference/recipes.md lists them). The value is written as in TOML. "
    "Repeat the option for several keys. If a key is given twice, the last value is used.",
)
