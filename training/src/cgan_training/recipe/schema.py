"""A recipe: every setting that determines the trained weights."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from cgan_training.errors import RecipeError
from cgan_training.recipe.custom import (
    CustomDiscriminatorSettings,
    CustomGeneratorSettings,
    CustomLossSettings,
)
from cgan_training.recipe.losses import LOSSES, LossSettings
from cgan_training.recipe.networks import (
    DISCRIMINATORS,
    GENERATORS,
    DiscriminatorSettings,
    GeneratorSettings,
)
from cgan_training.recipe.settings import CUSTOM_KIND, MAX_SHOWN, TableSettings, to_plain_values
from cgan_training.user_code import is_user_code

PRECISIONS = ("fp32", "tf32", "bf16", "auto")
MAX_NAME_LENGTH = 100  # characters
MAX_NOISE_DIM = 2**20
MAX_EPOCHS = MAX_BATCH_SIZE = 2**31 - 1
MAX_EPOCH_IMAGES = 100_000_000  # the order of an epoch's images takes 16 bytes per image
RECIPE_OPTIONS = ("epochs", "seed", "precision")  # keys that cgan-train also has as options
TABLES: dict[str, Mapping[str, type[TableSettings]]] = {
    "generator": {**GENERATORS, CUSTOM_KIND: CustomGeneratorSettings},
    "discriminator": {**DISCRIMINATORS, CUSTOM_KIND: CustomDiscriminatorSettings},
    "loss": {**LOSSES, CUSTOM_KIND: CustomLossSettings},
}


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run. Every value is checked when the recipe is built.

    Raises:
        RecipeError: a value is invalid; the message names the field and the allowed values.
    """

    name: str  # name of the recipe in messages, in config.json and in the metadata of the model
    generator: GeneratorSettings  # a table: `kind` and the settings of that kind
    discriminator: DiscriminatorSettings  # a table: `kind` and the settings of that kind
    loss: LossSettings  # a table: `kind` and the settings of that kind
    noise_dim: int  # length of the noise vector
    batch_size: int  # images per step
    epochs: int  # number of epochs; see min_images_per_epoch
    learning_rate: float  # initial learning rate of both Adam optimizers
    adam_betas: tuple[float, float]  # betas of both Adam optimizers, 0 <= beta < 1
    seed: int  # seed of the weights, the shuffling and the noise, 0 <= seed < 2**63
    # An epoch repeats the dataset until it has this many images. A last partial batch is left out.
    min_images_per_epoch: int = 60_000
    # Probability that an image is augmented before the discriminator sees it, for datasets of fewer
    # than 10,000 images.
    augment_probability: float = 0.0
    lr_decay: float = 0.0  # the learning rate decays linearly to 0 from progress 1 - lr_decay to 1
    # Epochs at which progress drops. Progress, 0 to 1, determines the learning rate, the weights of
    # the auxiliary losses and the fading of minibatch_stddev. It is the number of completed epochs,
    # with fractions, divided by the next of these epochs, or after the last one by `epochs`:
    # with [180, 270] and 360 epochs it drops from 1 to 180 / 270, then from 1 to 270 / 360. With
    # --minutes it is at least the used share of that time.
    lr_restarts: tuple[int, ...] = ()
    # Precision of matrix multiplications and convolutions: "fp32"; "tf32", which is float32 with a
    # mantissa of 10 bits, on NVIDIA GPUs; "bf16" by autocast; "auto", the fastest on the device.
    precision: str = "fp32"
    # Decay per step of the exponential moving average of the weights in model.pt; 0: no averaging.
    ema_decay: float = 0.0
    # Standard deviation of the noise in model.pt; more than 1 gives more variety. Training uses 1.
    noise_std: float = 1.0
    # A pixel that is foreground in less than this share of the training images is rare. Rare pixels
    # are suppressed in model.pt until they are as rare in generated images; 0: no suppression.
    rare_pixel_threshold: float = 0.0

    def __post_init__(self) -> None:
        is_short = len(self.name) <= MAX_NAME_LENGTH
        allowed = f"printable, with at most {MAX_NAME_LENGTH} characters"
        self._require("name", is_short and self.name.isprintable(), allowed)
        for key, maximum in (
            ("noise_dim", MAX_NOISE_DIM),
            ("batch_size", MAX_BATCH_SIZE),
            ("epochs", MAX_EPOCHS),
            ("min_images_per_epoch", MAX_EPOCH_IMAGES),
        ):
            self._require(key, 1 <= getattr(self, key) <= maximum, f"1 to {maximum}")
        self._require("learning_rate", 0 < self.learning_rate <= 1, "above 0 and at most 1")
        valid = len(self.adam_betas) == 2 and all(0 <= beta < 1 for beta in self.adam_betas)
        self._require("adam_betas", valid, "two numbers, 0 or more and below 1")
        for key in ("augment_probability", "lr_decay"):
            self._require(key, 0 <= getattr(self, key) <= 1, "0 to 1")
        in_range = {epoch for epoch in self.lr_restarts if 1 <= epoch <= MAX_EPOCHS}
        ascending = self.lr_restarts == tuple(sorted(in_range))
        self._require("lr_restarts", ascending, f"ascending numbers, 1 to {MAX_EPOCHS}")
        self._require("precision", self.precision in PRECISIONS, " or ".join(PRECISIONS))
        for key in ("ema_decay", "rare_pixel_threshold"):
            self._require(key, 0 <= getattr(self, key) < 1, "0 or more and below 1")
        self._require("noise_std", 0 < self.noise_std <= 10, "above 0 and at most 10")
        self._require("seed", 0 <= self.seed < 2**63, "0 or more and below 2**63")
        if self.rare_pixel_threshold and not self.generator.has_pixel_biases:
            raise RecipeError(
                f"recipe {self.name!r}: rare_pixel_threshold is {self.rare_pixel_threshold}, but a "
                f"{self.generator.kind!r} generator has no bias for each pixel; set it to 0, or "
                "use another kind of generator"
            )
        if self.noise_std != 1 and not self.generator.can_scale_noise:
            raise RecipeError(
                f"recipe {self.name!r}: noise_std is {self.noise_std}, but a "
                f"{self.generator.kind!r} generator supports only 1; set it to 1"
            )
        for key in ("classification_weight", "noise_reconstruction_weight"):
            if getattr(self.loss, key) and not self.discriminator.has_features:
                raise RecipeError(
                    f"recipe {self.name!r}: loss.{key} is {getattr(self.loss, key)}, but a "
                    f"{self.discriminator.kind!r} discriminator has no features for this loss "
                    "term; set it to 0, or use another kind of discriminator"
                )

    def _require(self, key: str, valid: bool, allowed: str) -> None:
        if valid:
            return
        value, option = getattr(self, key), f" (--{key})" if key in RECIPE_OPTIONS else ""
        name = f"{self.name!r:.{MAX_SHOWN}}"
        raise RecipeError(
            f"recipe {name}: {key} is {value!r:.{MAX_SHOWN}}; it must be {allowed}{option}"
        )

    @property
    def user_code(self) -> list[str]:
        """Names of the user code that the networks and the loss import, each once."""
        tables = (self.generator, self.discriminator, self.loss)
        return list(dict.fromkeys(table.kind for table in tables if is_user_code(table.kind)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values (tuples as lists), as config.json and model.pt store them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        tables = {key: values.pop(key).to_dict() for key in TABLES}
        return to_plain_values(values) | tables
