"""A recipe: everything that decides how a run learns."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from cgan_training.errors import RecipeError
from cgan_training.losses import LOSSES, Loss
from cgan_training.networks import (
    DISCRIMINATORS,
    GENERATORS,
    DiscriminatorSettings,
    GeneratorSettings,
)
from cgan_training.recipe.settings import Block, build, build_block, plain

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRECISIONS = ("fp32", "tf32", "bf16", "auto")
MOST_NOISE = 2**20  # numbers; torch asks for what no machine has long before
MOST_COUNT = 2**31 - 1  # of images a step and of epochs
MOST_EPOCH_IMAGES = 100_000_000  # their order is kept in memory: 8 bytes each, twice
FLAGS = ("epochs", "seed", "precision")  # fields that cgan-train can set by a flag
BLOCKS: dict[str, Mapping[str, type[Block]]] = {
    "generator": GENERATORS,
    "discriminator": DISCRIMINATORS,
    "loss": LOSSES,
}


@dataclass(frozen=True)
class Recipe:
    """One way to train. Refused where it is built when a field is out of range.

    Raises:
        RecipeError: names the field, what it holds and what it may hold.
    """

    name: str
    generator: GeneratorSettings  # a table: `kind`, and what that kind takes
    discriminator: DiscriminatorSettings  # likewise
    loss: Loss  # likewise
    noise_dim: int  # length of the generator's noise vector
    batch_size: int  # images a step
    epochs: int  # passes over the data set
    learning_rate: float  # of both Adam optimisers
    betas: tuple[float, float]  # of both Adam optimisers, 0 <= beta < 1
    seed: int  # of weights, shuffling and noise, 0 <= seed < 2**63
    epoch_images: int = 60_000  # an epoch shows no fewer: small data sets are gone through again
    augment: float = 0.0  # share of images that are moved a little before the discriminator sees
    # them, where the data set has under 10,000
    decay: float = 0.0  # last share of the run in which the learning rate falls to 0, in a line
    restarts: tuple[int, ...] = ()  # epochs after which the run, until then one of so few, goes on
    # as one of more: what fell to 0 rises again (Loshchilov & Hutter 2017, section 3)
    precision: str = "fp32"  # of the products: "fp32"; "tf32", float32 with 10 bits of fraction, on
    # NVIDIA's GPUs; "bf16" by autocast; or "auto": what the device has in hardware, else fp32
    average: float = 0.0  # decay a step of the generator's moving average, which model.pt then
    # holds; 0 <= decay < 1, 0 takes none
    noise_scale: float = 1.0  # standard deviation of the noise that model.pt's generator draws
    # from, where it learnt from 1; above 0 and at most 10
    rare_ink: float = 0.0  # pixels that a smaller share of the images ink are inked as rarely by
    # model.pt's generator; 0 <= rare_ink < 1, 0 leaves all as they learnt

    def __post_init__(self) -> None:
        self._require("name", self.name.isprintable(), "printable")
        for key, most in (
            ("noise_dim", MOST_NOISE),
            ("batch_size", MOST_COUNT),
            ("epochs", MOST_COUNT),
            ("epoch_images", MOST_EPOCH_IMAGES),
        ):
            self._require(key, 1 <= getattr(self, key) <= most, f"1 to {most}")
        self._require("learning_rate", 0 < self.learning_rate <= 1, "above 0 and at most 1")
        self._require(
            "betas",
            len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas),
            "two numbers, 0 or more and below 1",
        )
        self._require("augment", 0 <= self.augment <= 1, "0 to 1")
        self._require("decay", 0 <= self.decay <= 1, "0 to 1")
        rising = tuple(sorted({each for each in self.restarts if 1 <= each <= MOST_COUNT}))
        self._require("restarts", self.restarts == rising, f"rising numbers, 1 to {MOST_COUNT}")
        self._require("precision", self.precision in PRECISIONS, " or ".join(PRECISIONS))
        self._require("average", 0 <= self.average < 1, "0 or more and below 1")
        self._require("noise_scale", 0 < self.noise_scale <= 10, "above 0 and at most 10")
        self._require("rare_ink", 0 <= self.rare_ink < 1, "0 or more and below 1")
        if self.rare_ink and not self.generator.has_pixel_biases:
            raise RecipeError(
                f"recipe {self.name!r}: rare_ink is {self.rare_ink}, but a generator of the kind "
                f"{self.generator.kind!r} has no bias for each pixel; take another kind, or 0"
            )
        self._require("seed", 0 <= self.seed < 2**63, "0 or more and below 2**63")
        for key, what in (("classify", "labels"), ("read_noise", "noise")):
            if getattr(self.loss, key) and not self.discriminator.can_read:
                raise RecipeError(
                    f"recipe {self.name!r}: loss.{key} is {getattr(self.loss, key)}, but a "
                    f"discriminator of the kind {self.discriminator.kind!r} reads no {what}; take "
                    "another kind, or 0"
                )

    def _require(self, key: str, holds: bool, range_in_words: str) -> None:
        if not holds:
            flag = f" (--{key.replace('_', '-')})" if key in FLAGS else ""
            raise RecipeError(
                f"recipe {self.name!r}: {key} is {getattr(self, key)!r}; "
                f"it must be {range_in_words}{flag}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values (tuples as lists), as config.json and model.pt hold them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        tables = {key: values.pop(key).to_dict() for key in BLOCKS}
        return plain(values) | tables


def recipe_names() -> list[str]:
    """Return the names of the recipes that the package carries."""
    folder = resources.files("cgan_training.recipe") / "recipes"
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe that the package carries, a TOML file of the same keys, or a config.json.

    Raises:
        RecipeError: there is none of that name or path, or it is malformed.
    """
    if name_or_path in recipe_names():
        text = (resources.files("cgan_training.recipe") / "recipes" / f"{name_or_path}.toml").read_text()
        return recipe_from(tomllib.loads(text), name_or_path)
    path = Path(name_or_path)
    if path.suffix not in (".toml", ".json"):
        raise RecipeError(
            f"no recipe {name_or_path!r}; choose one of {', '.join(recipe_names())}, "
            "or give the path of a .toml file, or of a run's config.json"
        )
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)["recipe"]
        return recipe_from(values, name_or_path)
    except OSError as error:
        raise RecipeError(
            f"cannot read the recipe {path}: {error.strerror}; check the path"
        ) from error
    except (KeyError, TypeError) as error:
        raise RecipeError(f"{path} is no run's config.json: it has no recipe") from error
    except (ValueError, RecursionError) as error:  # what both parsers and the decoder raise
        language = path.suffix[1:].upper()
        raise RecipeError(f"the recipe {path} is not {language}: {error}; correct it") from error


def recipe_from(values: Mapping[str, Any], source: str) -> Recipe:
    """Build a recipe from plain values such as a TOML or JSON table.

    Raises:
        RecipeError: a key is unknown or missing, a value has the wrong type or range.
    """
    blocks = {
        key: build_block(kinds, values[key], source, key)
        for key, kinds in BLOCKS.items()
        if key in values
    }
    return build(Recipe, {**values, **blocks}, source)
