"""Write the built-in recipes and the keys of a recipe into docs/reference/recipes.md.

    python docs/recipe_keys.py    # after a change of cgan_training/recipe

The keys come from the dataclasses of the schema. The allowed values are parsed from the error
message that an invalid value causes.
"""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, replace
from pathlib import Path
from typing import Any

from cgan_training.errors import RecipeError
from cgan_training.recipe import TABLES, load_recipe, recipe_names
from cgan_training.recipe.loading import BUILT_IN
from cgan_training.recipe.settings import CUSTOM_KIND

PAGE = Path(__file__).parent / "reference" / "recipes.md"
SECTION = re.compile(
    r"(<!-- begin: recipe-keys [^>]*-->\n).*(<!-- end: recipe-keys -->)", re.DOTALL
)
FIELD_LINE = re.compile(r" {4}(?P<name>\w+): [^#]*(?:# (?P<comment>.+))?")
OWN_CODE = (
    "the name of [your own code](../extend.md); the other keys are then its keyword arguments."
)
# For each type: its name in TOML, a value that is valid for every required key, and a value that
# validation rejects if the key has restrictions.
TYPES: dict[Any, tuple[str, Any, Any]] = {
    bool: ("boolean", False, True),
    float: ("number", 0.5, -1.0),
    int: ("integer", 1, -1),
    str: ("string", "x", "\n"),
    tuple[float, float]: ("list of two numbers", (0.5, 0.5), (-1.0, -1.0)),
    tuple[int, ...]: ("list of integers", (1, 1, 1), (-1,)),
}


def field_comments(cls: type) -> dict[str, str]:
    """Return the comments beside or above the fields of a dataclass or named tuple, by name."""
    comments: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if not (hasattr(each, "__dataclass_fields__") or hasattr(each, "_fields")):
            continue
        above: list[str] = []
        for line in inspect.getsource(each).splitlines():
            if line.startswith("    # "):
                above.append(line.removeprefix("    # "))
                continue
            match = FIELD_LINE.fullmatch(line)
            if match and (comment := match["comment"] or " ".join(above)):
                comments[match["name"]] = comment
            above = []
    return comments


def markdown() -> str:
    """Return the built-in recipes and the keys of a recipe as Markdown."""
    parts = ["## Built-in recipes\n", "| recipe | |", "|---|---|"]
    parts += [f"| `{name}` | {_description(name)} |" for name in recipe_names()]
    parts += ["\n## Top-level keys\n", *_table(load_recipe("edge"))]
    for name, kinds in TABLES.items():
        built_in = {kind: cls for kind, cls in kinds.items() if kind != CUSTOM_KIND}
        choice = ", ".join(f'`"{kind}"`' for kind in built_in)
        parts += [f"\n## [{name}]\n", f"`kind` is {choice}, or {OWN_CODE}"]
        for kind, cls in built_in.items():
            required = [field for field in fields(cls) if field.default is MISSING]  # type: ignore[arg-type]
            settings = cls(**{field.name: TYPES[field.type][1] for field in required})
            summary = (inspect.getdoc(cls) or "").splitlines()[0]
            parts += [f'\n### {name}.kind = "{kind}"\n', f"{summary}\n", *_table(settings)]
    return "\n".join(parts)


def _description(name: str) -> str:
    """Return the comment at the start of a built-in recipe."""
    text = (BUILT_IN / f"{name}.toml").read_text(encoding="utf-8")
    lines = text.partition("\n\n")[0].splitlines()
    return " ".join(line.removeprefix("# ") for line in lines)


def _table(settings: Any) -> Iterator[str]:
    comments = field_comments(type(settings))
    yield "| key | type | default | allowed | meaning |"
    yield "|---|---|---|---|---|"
    for field in fields(settings):
        if field.name in TABLES:
            continue
        type_name, _, rejected = TYPES[field.type]
        allowed, meaning = _allowed(settings, field.name, rejected), comments.get(field.name, "")
        cells = f"`{field.name}`", type_name, _default(field), allowed, meaning
        yield f"| {' | '.join(cells)} |"


def _default(field: Field[Any]) -> str:
    return "required" if field.default is MISSING else f"`{json.dumps(field.default)}`"


def _allowed(settings: Any, key: str, rejected: Any) -> str:
    """Return the allowed values of a key, parsed from the error message for a rejected value."""
    try:
        replace(settings, **{key: rejected})
    except RecipeError as error:
        match = re.search(r"it must be (.+?)(?: \(--\w+\))?$", str(error))
        return match[1] if match else ""
    return "true or false" if isinstance(rejected, bool) else ""


def fill_page() -> str:
    """Return the page with its section filled."""
    return SECTION.sub(lambda m: f"{m[1]}\n{markdown()}\n\n{m[2]}", PAGE.read_text("utf-8"))


if __name__ == "__main__":
    PAGE.write_text(fill_page(), "utf-8")
