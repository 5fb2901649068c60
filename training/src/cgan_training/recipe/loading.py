"""Load a recipe by name, from a TOML file, or from the config.json of a run."""

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

from cgan_training.errors import RecipeError
from cgan_training.input_files import read_bounded
from cgan_training.recipe.schema import TABLES, Recipe
from cgan_training.recipe.settings import build_settings, build_table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Largest size of a recipe file, by suffix. tomllib needs quadratic time for keys with many dots,
# which is 3 s for this size.
MAX_BYTES = {".toml": 2**14, ".json": 2**24}
BUILT_IN = resources.files("cgan_training.recipe") / "recipes"


def recipe_names() -> list[str]:
    """Return the names of the built-in recipes."""
    names = (entry.name for entry in BUILT_IN.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def load_recipe(name_or_path: str) -> Recipe:
    """Load a built-in recipe by name, or one from a .toml file or the config.json of a run.

    Raises:
        RecipeError: there is no such recipe or file, or its content is invalid.
    """
    if name_or_path in recipe_names():
        text = (BUILT_IN / f"{name_or_path}.toml").read_text()
        return recipe_from_dict(tomllib.loads(text), name_or_path)
    path = Path(name_or_path)
    if path.suffix not in MAX_BYTES:
        raise RecipeError(
            f"unknown recipe {name_or_path!r}; choose one of {', '.join(recipe_names())}, "
            "or give the path of a .toml file or of a run's config.json"
        )
    try:
        text = read_bounded(path, MAX_BYTES[path.suffix]).decode("utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)["recipe"]
        return recipe_from_dict(values, name_or_path)
    except OSError as error:
        raise RecipeError(
            f"cannot read the recipe {path}: {error.strerror}; check the path"
        ) from error
    except (KeyError, TypeError) as error:
        raise RecipeError(
            f"{path} does not contain a recipe; give the config.json of a run"
        ) from error
    except (ValueError, RecursionError) as error:  # from both parsers or the decoder
        language = path.suffix[1:].upper()
        raise RecipeError(f"the recipe {path} is invalid {language}: {error}; fix it") from error


def parse_toml_value(text: str) -> Any:
    """Parse a value written in TOML, or a number such as ".5". Return any other text unchanged."""
    with suppress(ValueError, RecursionError):
        values = tomllib.loads(f"value = {text}")
        if values.keys() == {"value"}:  # false if the text has several lines
            return values["value"]
    with suppress(ValueError):
        return float(text)  # TOML requires a digit before a decimal point
    return text


def recipe_from_dict(values: Mapping[str, Any], source: str) -> Recipe:
    """Build a recipe from plain values such as a TOML or JSON table.

    Args:
        values: the recipe's keys and tables.
        source: where the values come from, for error messages.

    Raises:
        RecipeError: a key is unknown or missing, or a value has the wrong type or range.
    """
    tables = {
        name: build_table(kinds, values[name], source, name)
        for name, kinds in TABLES.items()
        if name in values
    }
    return build_settings(Recipe, {**values, **tables}, source)
