"""Settings of networks and losses that the user wrote: `kind` names the code to import.

The other keys of the table are the keyword arguments of that code. Nothing is imported here:
networks and losses import the code when they are built.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from cgan_training.errors import RecipeError
from cgan_training.recipe.losses import LossSettings
from cgan_training.recipe.networks import DiscriminatorSettings, GeneratorSettings
from cgan_training.recipe.settings import MAX_SHOWN, Table, TableSettings, build_settings

# Keyword arguments that cgan-train passes to a network, noise_dim only to generators.
RESERVED = ("noise_dim", "classes", "channels", "height", "width")
MAX_DEPTH = 8  # largest number of nested tables and lists
MAX_INTEGER = 2**63


class CustomSettings(TableSettings):
    """Base of the settings of user code: its name, which is `kind`, and its arguments."""

    arguments: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain values, with `kind` first."""
        return {"kind": self.kind, **self.arguments}


class CustomNetworkSettings(CustomSettings):
    """Base of the settings of a network that the user wrote."""

    @classmethod
    def from_table(
        cls: type[Table], kind: str, values: dict[str, Any], source: str, name: str
    ) -> Table:
        """Build the settings from a table without its key `kind`; see TableSettings."""
        for key in RESERVED:
            if key in values:
                raise RecipeError(
                    f"recipe {source}: {name}.{key} is set, but cgan-train passes {key} to "
                    f"{kind} itself; remove it or rename it"
                )
        _check_arguments(values, source, name)
        return cls(kind, values)  # type: ignore[call-arg]


@dataclass(frozen=True)
class CustomGeneratorSettings(CustomNetworkSettings, GeneratorSettings):
    """A generator of the user; see cgan_training.networks.custom."""

    kind: str  # type: ignore[misc]
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CustomDiscriminatorSettings(CustomNetworkSettings, DiscriminatorSettings):
    """A discriminator of the user; see cgan_training.networks.custom."""

    kind: str  # type: ignore[misc]
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CustomLossSettings(CustomSettings, LossSettings):
    """An adversarial loss of the user. The fields of LossSettings are not passed to its code."""

    kind: str = ""  # type: ignore[misc]
    arguments: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_table(
        cls: type[Table], kind: str, values: dict[str, Any], source: str, name: str
    ) -> Table:
        """Build the settings from a table without its key `kind`; see TableSettings."""
        loss_values = {key: values.pop(key) for key in _LOSS_FIELDS if key in values}
        _check_arguments(values, source, name)
        checked = build_settings(LossSettings, loss_values, source, f"{name}.")
        return cls(**vars(checked), kind=kind, arguments=values)  # type: ignore[call-arg]

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain values, with `kind` first."""
        return {**super().to_dict(), **{key: getattr(self, key) for key in _LOSS_FIELDS}}


_LOSS_FIELDS = [field.name for field in fields(LossSettings)]


def _check_arguments(value: object, source: str, name: str, depth: int = 0) -> None:
    """Raise RecipeError if JSON or model.pt cannot contain a value."""
    if isinstance(value, Mapping | list):
        if depth == MAX_DEPTH:
            raise RecipeError(
                f"recipe {source}: {name} is nested too deeply; use at most {MAX_DEPTH} levels"
            )
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            _check_arguments(item, source, f"{name}.{key}", depth + 1)
        return
    is_plain = isinstance(value, bool | str)
    is_plain |= isinstance(value, int) and -MAX_INTEGER <= value < MAX_INTEGER
    is_plain |= isinstance(value, float) and math.isfinite(value)
    if not is_plain:
        raise RecipeError(
            f"recipe {source}: {name} is {value!s:.{MAX_SHOWN}}; it must be a string, a boolean, "
            "an integer of 64 bits, a finite number, a list or a table"
        )
