"""Settings: frozen dataclasses built from plain values, such as a TOML or JSON table."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, fields
from typing import Any, ClassVar, TypeVar

from cgan_training.errors import RecipeError

T = TypeVar("T")


class Block:
    """A part of a recipe that comes in several kinds; a kind is a frozen dataclass of settings.

    In a TOML file it is a table: its key `kind` chooses the class, the others are its fields.
    """

    kind: ClassVar[str]  # the word for it in a recipe

    def require(self, key: str, *, holds: bool, words: str) -> None:
        """Refuse a field whose value is out of range.

        Raises:
            RecipeError: names the field, what it holds and what it may hold.
        """
        if not holds:
            raise RecipeError(f"{key} is {getattr(self, key)}; it must be {words}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, `kind` first."""
        return {"kind": self.kind, **plain(asdict(self))}  # type: ignore[call-overload]


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with tuples as lists, as JSON and model files hold them."""
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in values.items()
    }


def build(cls: type[T], values: Mapping[str, Any], source: str, prefix: str = "") -> T:
    """Build a settings class from plain values.

    Args:
        cls: a dataclass whose fields are int, float, bool, str, or tuples of int or float.
        values: one for each field without a default.
        source: where they come from, for messages.
        prefix: written before a key in messages.

    Raises:
        RecipeError: a key is unknown or missing, a value has the wrong type or range.
    """
    wanted = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(wanted)):
        raise RecipeError(
            f"recipe {source}: unknown key {prefix + unknown[0]!r}; "
            f"the keys are {', '.join(prefix + key for key in wanted)}"
        )
    for key, field in wanted.items():
        if key not in values and field.default is MISSING:
            raise RecipeError(f"recipe {source}: {prefix + key!r} is missing; add it")
    return cls(
        **{
            key: _typed(value, wanted[key].type, prefix + key, source)
            for key, value in values.items()
        }
    )


def build_block(
    kinds: Mapping[str, type[T]], values: object, source: str, name: str, default: str | None = None
) -> T:
    """Build a block from its table.

    Args:
        kinds: the classes that it may be, by kind.
        values: the table.
        source: where it comes from, for messages.
        name: of the table.
        default: the kind where the table names none.

    Raises:
        RecipeError: it is no table, names no known kind, or build() refuses it.
    """
    if not isinstance(values, Mapping):
        raise RecipeError(f"recipe {source}: {name} is {values!r}; it must be a table")
    rest = dict(values)
    kind = rest.pop("kind", default)
    if not isinstance(kind, str) or kind not in kinds:
        raise RecipeError(
            f"recipe {source}: {name}.kind is {kind!r}; it must be one of {', '.join(kinds)}"
        )
    try:
        return build(kinds[kind], rest, source, f"{name}.")
    except RecipeError as error:
        text = str(error)
        raise RecipeError(
            text if text.startswith("recipe ") else f"recipe {source}: {name}.{text}"
        ) from None


def _typed(value: Any, kind: Any, key: str, source: str) -> Any:
    """Return the value as its field's type, or refuse it."""
    item = int if kind == tuple[int, ...] else float if kind == tuple[float, float] else None
    if item is not None and isinstance(value, list | tuple):
        return tuple(_typed(entry, item, key, source) for entry in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    if item is None and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    wanted = "a list of numbers" if item is not None else kind.__name__
    raise RecipeError(f"recipe {source}: {key} is {value!r}; it must be {wanted}")
