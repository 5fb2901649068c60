"""The option --set of cgan-train, and the answer to recipe keys that are given as options."""

import shlex
from typing import Any

import click

from cgan_training.recipe import full_names, parse_override


class CommandWithRecipe(click.Command):
    """A command that names --set if a recipe's key is given as an option, such as --batch-size."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the command line; see click.Command."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            word = next(each for each in words if each.startswith(error.option_name))
            option, _, value = word.partition("=")
            following = words[words.index(word) + 1 :][:1]
            keys = full_names(option.lstrip("-"))
            if not keys:
                raise
            value = value or next((each for each in following if each[:2] != "--"), "VALUE")
            commands = " or ".join(f"--set {shlex.quote(f'{key}={value}')}" for key in keys)
            raise click.UsageError(
                f"{option} is a key of the recipe, not an option; write {commands}", ctx
            ) from None


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
