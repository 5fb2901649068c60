"""How cgan-train reads its command line: --set, run directories, and frequent mistakes."""

import os
import shlex
from pathlib import Path
from typing import Any

import click

from cgan_training.recipe import matching_keys, parse_override


class TrainCommand(click.Command):
    """A command that says what to write instead of recipe keys as options, and of arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the command line; see click.Command."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if message := _recipe_key(error.option_name, words):
                raise click.UsageError(message, ctx) from None
            raise
        except click.UsageError as error:
            if not error.message.startswith("Got unexpected extra argument"):
                raise
            raise click.UsageError(
                f"{error.message}; cgan-train takes only options: name images with --dataset, a "
                "recipe with --recipe, and a run with --resume or --start-from",
                ctx,
            ) from None


class RunDirectory(click.Path):
    """The directory of a run."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; a file, such as the model.pt of a run, is refused."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if os.path.isfile(path):  # noqa: PTH113 - Path.is_file() raises if the name is too long
            name = param.opts[0] if param else "the option"
            raise click.UsageError(
                f"{name} takes the directory of a run, and {str(path)!r} is a file; write {name} "
                f"{shlex.quote(str(path.parent))}",
                ctx,
            )
        return path


def _recipe_key(option: str, words: list[str]) -> str:
    """Return what to write instead of an unknown option that is named like a recipe's key."""
    word = next(each for each in words if each.startswith(option))
    option, _, value = word.partition("=")
    following = words[words.index(word) + 1 :][:1]
    value = value or next((each for each in following if each[:2] != "--"), "VALUE")
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
    "Repeat the option for several keys; of equal keys, the last one counts.",
)
