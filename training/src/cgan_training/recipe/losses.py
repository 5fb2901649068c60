"""Settings of the losses: the dataclasses of the table [loss]."""

from dataclasses import dataclass
from typing import ClassVar

from cgan_training.recipe.settings import TableSettings

MAX_WEIGHT = 2**31 - 1


@dataclass(frozen=True)
class LossSettings(TableSettings):
    """Weights of the loss terms other than the adversarial loss. A weight of 0 omits the term."""

    r1_weight: float = 0.0  # gradient penalty on real images
    r1_interval: int = 8  # the penalty is added every r1_interval steps, multiplied by r1_interval
    classification_weight: float = 0.0  # weight at progress 0, proportional to 1 - progress
    noise_reconstruction_weight: float = 0.0  # weight at progress 0, proportional to 1 - progress

    def __post_init__(self) -> None:
        for key in ("r1_weight", "classification_weight", "noise_reconstruction_weight"):
            self.require(key, 0 <= getattr(self, key) <= MAX_WEIGHT, f"0 to {MAX_WEIGHT}")
        self.require("r1_interval", 1 <= self.r1_interval <= MAX_WEIGHT, f"1 to {MAX_WEIGHT}")


@dataclass(frozen=True)
class LogisticLossSettings(LossSettings):
    """Binary cross-entropy with the non-saturating generator loss (Goodfellow et al. 2014)."""

    kind: ClassVar[str] = "logistic"


@dataclass(frozen=True)
class HingeLossSettings(LossSettings):
    """The hinge loss (Lim & Ye 2017)."""

    kind: ClassVar[str] = "hinge"


LOSSES: dict[str, type[LossSettings]] = {
    settings.kind: settings for settings in (LogisticLossSettings, HingeLossSettings)
}
