"""Build frozen dataclasses from plain values, such as a TOML table. Every value is checked."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, fields
from typing import Any, ClassVar, TypeVar

from cgan_training.errors import RecipeError
from cgan_training.user_code import is_user_code

T = TypeVar("T")
Table = TypeVar("Table", bound="TableSettings")
MAX_SHOWN = 80  # largest number of characters of a value in a message
ITEM_TYPES: dict[Any, type] = {tuple[int, ...]: int, tuple[float, float]: float}
TYPE_NAMES = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}
# Key of the settings class for user code in each mapping of TABLES. Messages show it as a kind.
CUSTOM_KIND = "my_package.my_module:Name"


class FieldError(RecipeError):
    """A field of a table is invalid. The message names the field, but not the table."""


class TableSettings:
    """Base of the settings that a table of a recipe holds, such as [generator].

    The table's key `kind` selects the dataclass; the other keys are its fields.
    """

    kind: ClassVar[str]  # the value of `kind` in a recipe

    @classmethod
    def from_table(
        cls: type[Table], kind: str, values: dict[str, Any], source: str, name: str
    ) -> Table:
        """Build the settings from a table without its key `kind`; see build_table()."""
        del kind
        return build_settings(cls, values, source, f"{name}.")

    def require(self, key: str, valid: bool, allowed: str) -> None:
        """Raise FieldError, which names the allowed values, if the value of a field is invalid."""
        if not valid:
            raise FieldError(f"{key} is {getattr(self, key)!s:.{MAX_SHOWN}}; it must be {allowed}")

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain values, with `kind` first."""
        return {"kind": self.kind, **to_plain_values(asdict(self))}  # type: ignore[call-overload]


def to_plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with tuples as lists, as JSON and model files store them."""
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in values.items()
    }


def build_settings(cls: type[T], values: Mapping[str, Any], source: str, prefix: str = "") -> T:
    """Build a settings dataclass from plain values.

    Args:
        cls: the dataclass.
        values: the values of its fields.
        source: where the values come from, for error messages.
        prefix: the text before a key in error messages, such as "generator.".

    Raises:
        RecipeError: a key is unknown or missing, or a value has the wrong type or range.
    """
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(known)):
        raise RecipeError(
            f"recipe {source}: unknown key {prefix + unknown[0]!r:.{MAX_SHOWN}}; "
            f"the keys are {', '.join(prefix + key for key in known)}"
        )
    for key, field in known.items():
        if key not in values and field.default is MISSING:
            raise RecipeError(f"recipe {source}: {prefix + key!r} is missing; add it")
    converted = (_convert(values[key], known[key].type, prefix + key, source) for key in values)
    return cls(**dict(zip(values, converted, strict=True)))


def build_table(kinds: Mapping[str, type[Table]], values: object, source: str, name: str) -> Table:
    """Build the settings of one table, whose key `kind` selects the dataclass.

    Raises:
        RecipeError: the value is not a table, its kind is unknown, or a value is invalid. The
            message contains the source and the name of the table.
    """
    if not isinstance(values, Mapping):
        raise RecipeError(f"recipe {source}: {name} is {values!r:.{MAX_SHOWN}}; it must be a table")
    fields_by_name = dict(values)
    kind = fields_by_name.pop("kind", None)
    is_custom = isinstance(kind, str) and is_user_code(kind) and CUSTOM_KIND in kinds
    if not isinstance(kind, str) or (kind not in kinds and not is_custom):
        raise RecipeError(
            f"recipe {source}: {name}.kind is {kind!r:.{MAX_SHOWN}}; it must be one of "
            f"{', '.join(kinds)}"
        )
    try:
        return kinds[CUSTOM_KIND if is_custom else kind].from_table(
            kind, fields_by_name, source, name
        )
    except FieldError as error:
        raise RecipeError(f"recipe {source}: {name}.{error}") from None


def _convert(value: Any, expected: Any, key: str, source: str) -> Any:
    """Return the value as the type of its field, or raise RecipeError."""
    item_type = ITEM_TYPES.get(expected)
    is_unwanted_bool = isinstance(value, bool) and expected is not bool  # a bool is also an int
    if item_type is not None:
        if isinstance(value, list | tuple):
            return tuple(_convert(item, item_type, key, source) for item in value)
    elif expected is float and isinstance(value, int) and not is_unwanted_bool:
        with suppress(OverflowError):
            return float(value)
    elif isinstance(value, expected) and not is_unwanted_bool:
        return value
    allowed = "a list of numbers, such as [1, 2]" if item_type else TYPE_NAMES[expected]
    raise RecipeError(f"recipe {source}: {key} is {value!r:.{MAX_SHOWN}}; it must be {allowed}")
