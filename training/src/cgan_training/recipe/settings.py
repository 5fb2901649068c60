"""Build frozen dataclasses from plain values, such as a TOML table, and check every value."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, fields
from typing import Any, ClassVar, TypeVar

from cgan_training.errors import RecipeError
from cgan_training.user_code import is_user_code

T = TypeVar("T")
Table = TypeVar("Table", bound="TableSettings")
MAX_SHOWN = 80  # characters of a value in a message
TYPE_NAMES = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
USER_CODE = "my_package.my_module:Name"  # stands for all kinds of this form


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
        """Raise RecipeError, which names the allowed values, unless a field's value is valid."""
        if not valid:
            raise RecipeError(f"{key} is {getattr(self, key)!s:.{MAX_SHOWN}}; it must be {allowed}")

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain values, with `kind` first."""
        return {"kind": self.kind, **to_plain_values(asdict(self))}  # type: ignore[call-overload]


def to_plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with tuples as lists, which is how JSON and model files store them."""
    return {key: list(each) if isinstance(each, tuple) else each for key, each in values.items()}


def build_settings(cls: type[T], values: Mapping[str, Any], source: str, prefix: str = "") -> T:
    """Build a settings dataclass from plain values; source and prefix are for error messages."""
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
    rest = dict(values)
    kind = rest.pop("kind", None)
    is_custom = isinstance(kind, str) and is_user_code(kind) and USER_CODE in kinds
    if not isinstance(kind, str) or (kind not in kinds and not is_custom):
        raise RecipeError(
            f"recipe {source}: {name}.kind is {kind!r:.{MAX_SHOWN}}; it must be one of "
            f"{', '.join(kinds)}"
        )
    try:
        return kinds[USER_CODE if is_custom else kind].from_table(kind, rest, source, name)
    except RecipeError as error:
        text = str(error)  # a message of require() lacks the source
        raise RecipeError(
            text if text.startswith("recipe ") else f"recipe {source}: {name}.{text}"
        ) from None


def _convert(value: Any, expected: Any, key: str, source: str) -> Any:
    """Return the value as the type of its field, or raise RecipeError."""
    items = {tuple[int, ...]: int, tuple[float, float]: float}.get(expected)
    if items is not None and isinstance(value, list | tuple):
        return tuple(_convert(item, items, key, source) for item in value)
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    is_bool = isinstance(value, bool)  # which Python also accepts as an int
    if items is None and isinstance(value, expected) and is_bool == (expected is bool):
        return value
    allowed = "a list of numbers, such as [1, 2]" if items is not None else TYPE_NAMES[expected]
    raise RecipeError(f"recipe {source}: {key} is {value!r:.{MAX_SHOWN}}; it must be {allowed}")
