"""Change single keys of a recipe, such as "epochs" or "generator.hidden"."""

import copy
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cgan_training.errors import RecipeError
from cgan_training.recipe.loading import MAX_BYTES, parse_toml_value, recipe_from_dict
from cgan_training.recipe.schema import TABLES, Recipe
from cgan_training.recipe.settings import CUSTOM_KIND, MAX_SHOWN

MAX_CHARACTERS = MAX_BYTES[".toml"]
# Names that other projects use for these keys.
KEY_ALIASES = {
    "lr": "learning_rate",
    "batch": "batch_size",
    "betas": "adam_betas",
    "latent_dim": "noise_dim",
    "z_dim": "noise_dim",
}


def override(recipe: Recipe, changes: Mapping[str, Any], source: str) -> Recipe:
    """Return a recipe with changed values. They are checked as in a recipe file.

    Args:
        recipe: the recipe, which is not changed.
        changes: the new values by key; "table.key" names a key of a table.
        source: where the values come from, for error messages.

    Raises:
        RecipeError: a key is unknown, or a value has the wrong type or range.
    """
    values = copy.deepcopy(recipe.to_dict())
    for name, value in changes.items():
        *path, key = name.split(".")
        table: Any = values
        for part in path:
            table = table.get(part) if isinstance(table, dict) else None
        if not isinstance(table, dict):
            raise RecipeError(
                f"recipe {source}: unknown key {name!r:.{MAX_SHOWN}}; the tables are "
                f"{', '.join(TABLES)}"
            )
        names = [] if path or key in values else matching_keys(name)
        if names:
            raise RecipeError(f"recipe {source}: unknown key {name!r}; use {' or '.join(names)}")
        table[key] = value
    return recipe_from_dict(values, source)


def parse_override(text: str) -> tuple[str, Any]:
    """Return the key and the value of a text KEY=VALUE.

    VALUE is written as in TOML, but strings need no quotation marks.

    Raises:
        ValueError: the text has another form, or is too long.
    """
    key, separator, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not separator or not all(key.split(".")) or not value:
        raise ValueError("it is not of the form KEY=VALUE")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"it has more than {MAX_CHARACTERS:,} characters")
    return key, parse_toml_value(value)


def matching_keys(name: str) -> list[str]:
    """Return the recipe keys that a user may have meant by a name.

    For example, "hidden" can mean "generator.hidden", and "lr" means "learning_rate".
    """
    name = name.replace("-", "_")
    name = KEY_ALIASES.get(name, name)
    return [
        key for key in _keys() if _letters(name) in (_letters(key), _letters(key.partition(".")[2]))
    ]


def _keys() -> list[str]:
    """Return all keys of recipes, such as "epochs" and "generator.hidden"."""
    keys = [field.name for field in fields(Recipe) if field.name not in TABLES]
    for table, kinds in TABLES.items():
        table_keys = {"kind": None}  # a dict, because the kinds share keys
        for kind, settings in kinds.items():
            if kind != CUSTOM_KIND:
                table_keys.update(dict.fromkeys(field.name for field in fields(settings)))  # type: ignore[arg-type]
        keys += [f"{table}.{key}" for key in table_keys]
    return keys


def _letters(key: str) -> str:
    return key.replace("_", "").replace(".", "").lower()
