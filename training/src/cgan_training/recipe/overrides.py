"""Change single keys of a recipe, named "epochs" or "generator.hidden"."""

import copy
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cgan_training.errors import RecipeError
from cgan_training.recipe.loading import MAX_BYTES, parse_toml_value, recipe_from_dict
from cgan_training.recipe.schema import TABLES, Recipe
from cgan_training.recipe.settings import MAX_SHOWN, USER_CODE

MAX_CHARACTERS = MAX_BYTES[".toml"]
# Usual names of some keys in other projects.
OTHER_NAMES = {
    "lr": "learning_rate",
    "batch": "batch_size",
    "betas": "adam_betas",
    "latent_dim": "noise_dim",
    "z_dim": "noise_dim",
}


def override(recipe: Recipe, changes: Mapping[str, Any], source: str) -> Recipe:
    """Return a recipe with other values of some keys, checked like those of a recipe file.

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
        for each in path:
            table = table.get(each) if isinstance(table, dict) else None
        if not isinstance(table, dict):
            raise RecipeError(
                f"recipe {source}: unknown key {name!r:.{MAX_SHOWN}}; the tables are "
                f"{', '.join(TABLES)}"
            )
        names = [] if path or key in values else full_names(name)
        if names:
            raise RecipeError(f"recipe {source}: unknown key {name!r}; use {' or '.join(names)}")
        table[key] = value
    return recipe_from_dict(values, source)


def parse_override(text: str) -> tuple[str, Any]:
    """Return the key and the value of a text KEY=VALUE.

    VALUE is written as in TOML; a text needs no quotation marks.

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


def full_names(name: str) -> list[str]:
    """Return the keys that a name without its table, or in another spelling, can stand for."""
    name = name.replace("-", "_")
    name = OTHER_NAMES.get(name, name)
    return [
        key for key in _keys() if _letters(name) in (_letters(key), _letters(key.partition(".")[2]))
    ]


def _keys() -> list[str]:
    """Return the names of all keys of recipes; those of a table begin with its name."""
    keys = [field.name for field in fields(Recipe) if field.name not in TABLES]
    for table, kinds in TABLES.items():
        known = [field.name for kind in kinds if kind != USER_CODE for field in fields(kinds[kind])]  # type: ignore[arg-type]
        keys += [f"{table}.{key}" for key in dict.fromkeys(("kind", *known))]
    return keys


def _letters(key: str) -> str:
    return key.replace("_", "").replace(".", "").lower()
