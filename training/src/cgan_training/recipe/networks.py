"""Settings of the networks: the dataclasses of the tables [generator] and [discriminator]."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from cgan_training.recipe.settings import TableSettings

MAX_UNITS = 2**20  # largest size of a layer; no machine has the memory for networks of such layers
MAX_LAYERS = 100
UNITS_RANGE = f"1 to {MAX_UNITS}"
LAYERS_RANGE = f"a list of 1 to {MAX_LAYERS} numbers, each {UNITS_RANGE}"


class GeneratorSettings(TableSettings):
    """Base of the settings of generators."""

    has_pixel_biases: ClassVar[bool] = False  # whether the last layer has one bias per pixel
    can_scale_noise: ClassVar[bool] = False  # whether noise_std can change the weights
    conditional: bool = True  # whether the image depends on the label


class DiscriminatorSettings(TableSettings):
    """Base of the settings of discriminators."""

    has_features: ClassVar[bool] = False  # whether it has features for the auxiliary loss terms


@dataclass(frozen=True)
class PerceptronGeneratorSettings(GeneratorSettings):
    """A multilayer perceptron: linear layers with ReLU between them."""

    kind: ClassVar[str] = "perceptron"
    has_pixel_biases: ClassVar[bool] = True
    can_scale_noise: ClassVar[bool] = True
    hidden: tuple[int, ...]  # units of the hidden layers, in order
    batch_norm: bool = False  # whether batch norm precedes each ReLU (Radford et al. 2015, sec. 3)
    conditional: bool = True  # whether the image depends on the label

    def __post_init__(self) -> None:
        self.require("hidden", _are_valid_layers(self.hidden), LAYERS_RANGE)


@dataclass(frozen=True)
class ConvolutionalGeneratorSettings(GeneratorSettings):
    """Linear layers that make a coarse grid, then 3 x 3 convolutions and pixel shuffles."""

    kind: ClassVar[str] = "convolutional"
    can_scale_noise: ClassVar[bool] = True
    hidden: int  # units of the linear layer between the input and the grid
    channels: int  # channels of the grid
    convolutions: int = 2  # number of convolutions on each grid
    # Channels of finer grids, each with twice the rows and columns of the grid before. If empty,
    # one pixel shuffle turns each cell of the coarse grid into 4 x 4 pixels.
    finer_channels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.require("hidden", 1 <= self.hidden <= MAX_UNITS, UNITS_RANGE)
        self.require("channels", 1 <= self.channels <= MAX_UNITS, UNITS_RANGE)
        self.require("convolutions", 0 <= self.convolutions <= MAX_LAYERS, f"0 to {MAX_LAYERS}")
        finer = self.finer_channels
        valid = len(finer) <= 2 and (not finer or _are_valid_layers(finer))
        self.require("finer_channels", valid, f"at most two numbers, each {UNITS_RANGE}")


@dataclass(frozen=True)
class PerceptronDiscriminatorSettings(DiscriminatorSettings):
    """A multilayer perceptron on [image; one-hot label], with leaky ReLU between its layers."""

    kind: ClassVar[str] = "perceptron"
    hidden: tuple[int, ...]  # units of the hidden layers, in order
    negative_slope: float  # slope of the leaky ReLU below 0, 0 <= slope < 1
    conditional: bool = True  # whether the label is part of the input

    def __post_init__(self) -> None:
        self.require("hidden", _are_valid_layers(self.hidden), LAYERS_RANGE)
        self.require("negative_slope", 0 <= self.negative_slope < 1, "0 or more and below 1")


@dataclass(frozen=True)
class ProjectionDiscriminatorSettings(DiscriminatorSettings):
    """Convolutions on the image; the label enters by projection (Miyato & Koyama 2018, sec. 3)."""

    has_features: ClassVar[bool] = True
    channels: tuple[int, ...]  # output channels of the convolutions
    hidden: int  # length of the feature vector and of the label embeddings
    negative_slope: float = 0.2  # slope of the leaky ReLU below 0, 0 <= slope < 1
    minibatch_stddev: bool = False  # whether the logits depend on how much a label's images vary
    minibatch_stddev_fades: bool = False  # whether minibatch_stddev is weighted by 1 - progress

    def __post_init__(self) -> None:
        self.require("channels", _are_valid_layers(self.channels), LAYERS_RANGE)
        self.require("hidden", 1 <= self.hidden <= MAX_UNITS, UNITS_RANGE)
        self.require("negative_slope", 0 <= self.negative_slope < 1, "0 or more and below 1")
        consistent = self.minibatch_stddev or not self.minibatch_stddev_fades
        self.require("minibatch_stddev_fades", consistent, "False without minibatch_stddev")


@dataclass(frozen=True)
class ConvolutionalDiscriminatorSettings(ProjectionDiscriminatorSettings):
    """Three convolutions on a coarse grid. It is fast, but does not see fine texture."""

    kind: ClassVar[str] = "convolutional"

    def __post_init__(self) -> None:
        valid = len(self.channels) == 3 and _are_valid_layers(self.channels)
        self.require("channels", valid, f"three numbers, each {UNITS_RANGE}")
        super().__post_init__()


@dataclass(frozen=True)
class PyramidDiscriminatorSettings(ProjectionDiscriminatorSettings):
    """Convolutions on several grids, each with half the rows and columns of the grid before."""

    kind: ClassVar[str] = "pyramid"
    convolutions: int = 1  # number of convolutions on each grid

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("convolutions", 1 <= self.convolutions <= MAX_LAYERS, f"1 to {MAX_LAYERS}")


GENERATORS: dict[str, type[GeneratorSettings]] = {
    settings.kind: settings
    for settings in (PerceptronGeneratorSettings, ConvolutionalGeneratorSettings)
}
DISCRIMINATORS: dict[str, type[DiscriminatorSettings]] = {
    settings.kind: settings
    for settings in (
        PerceptronDiscriminatorSettings,
        ConvolutionalDiscriminatorSettings,
        PyramidDiscriminatorSettings,
    )
}


def _are_valid_layers(hidden: Sequence[int]) -> bool:
    return 1 <= len(hidden) <= MAX_LAYERS and 1 <= min(hidden) <= max(hidden) <= MAX_UNITS
