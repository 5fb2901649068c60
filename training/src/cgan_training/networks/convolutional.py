"""Small convolutional networks on a grid of 4 x 4 pixel cells."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_training.errors import RecipeError
from cgan_training.networks.base import (
    MOST_UNITS,
    Discriminator,
    DiscriminatorOutput,
    DiscriminatorSettings,
    GeneratorSettings,
)
from cgan_training.networks.minibatch_stddev import MinibatchStddev

CELL = 4  # pixels a side of a grid cell: 28 x 28 is a grid of 7 x 7
MOST_CONVOLUTIONS = 100
SOME_UNITS = f"1 to {MOST_UNITS}"
EMBEDDING_SPREAD = 0.1  # standard deviation of the untrained label embeddings


@dataclass(frozen=True)
class ConvolutionalGenerator(GeneratorSettings):
    """Linear layers make a coarse grid, 3 x 3 convolutions refine it, each cell becomes pixels.

    All convolutions work on the coarse grid and the last one gives each cell its 16 pixels
    (Shi et al. 2016, section 3), so the network costs a fraction of one that upsamples in steps.
    """

    kind: ClassVar[str] = "convolutional"
    hidden: int  # units of the linear layer between noise and grid
    channels: int  # of the grid
    convolutions: int = 2  # of channels to channels, before the one that gives the pixels

    def __post_init__(self) -> None:
        for key in ("hidden", "channels"):
            self.require(key, holds=1 <= getattr(self, key) <= MOST_UNITS, words=SOME_UNITS)
        few = 0 <= self.convolutions <= MOST_CONVOLUTIONS
        self.require("convolutions", holds=few, words=f"0 to {MOST_CONVOLUTIONS}")

    def layers(self, inputs: int, height: int, width: int) -> nn.Sequential:
        """Return the layers; see GeneratorSettings.layers()."""
        rows, columns = _grid(height, width)
        channels = self.channels
        layers: list[nn.Module] = [
            nn.Linear(inputs, self.hidden),
            nn.BatchNorm1d(self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, channels * rows * columns),
            nn.Unflatten(1, (channels, rows, columns)),  # [batch, channels, rows, columns]
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
        for _ in range(self.convolutions):
            convolution = nn.Conv2d(channels, channels, 3, padding=1)
            layers += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
        layers += [nn.Conv2d(channels, CELL * CELL, 3, padding=1), nn.PixelShuffle(CELL)]
        return _channels_last(nn.Sequential(*layers))


@dataclass(frozen=True)
class ConvolutionalDiscriminator(DiscriminatorSettings):
    """Convolutions on the image, and the label by projection (Miyato & Koyama 2018, section 3).

    The first convolution sees 8 x 8 pixels and goes on by 4: all others work on the coarse grid.
    """

    kind: ClassVar[str] = "convolutional"
    can_read: ClassVar[bool] = True
    channels: tuple[int, ...]  # three: of the grid twice, and of the grid at half its size
    hidden: int  # features that the label is projected on
    leaky_slope: float = 0.2  # of the leaky ReLU, 0 <= slope < 1
    minibatch_deviation: bool = False  # whether it sees how much a label's images differ
    deviation_fades: bool = False  # whether that counts less and less, and nothing by the end

    def __post_init__(self) -> None:
        three = len(self.channels) == 3 and 1 <= min(self.channels) <= max(self.channels)
        few = three and max(self.channels) <= MOST_UNITS
        self.require("channels", holds=few, words=f"three numbers of {SOME_UNITS}")
        self.require("hidden", holds=1 <= self.hidden <= MOST_UNITS, words=SOME_UNITS)
        self.require("leaky_slope", holds=0 <= self.leaky_slope < 1, words="0 or more and below 1")
        there = self.minibatch_deviation or not self.deviation_fades
        self.require("deviation_fades", holds=there, words="False without minibatch_deviation")

    def network(
        self, classes: int, height: int, width: int, *, reads: bool = False, noise_dim: int = 0
    ) -> Discriminator:
        """Return the network; see DiscriminatorSettings.network()."""
        return _Discriminator(self, classes, height, width, reads=reads, noise_dim=noise_dim)


class _Discriminator(Discriminator):
    def __init__(
        self,
        settings: ConvolutionalDiscriminator,
        classes: int,
        height: int,
        width: int,
        *,
        reads: bool,
        noise_dim: int,
    ) -> None:
        super().__init__()
        rows, columns = _grid(height, width)
        first, second, third = settings.channels
        half = -(-rows // 2) * -(-columns // 2)  # cells that a stride of 2 leaves

        def activation() -> nn.Module:
            return nn.LeakyReLU(settings.leaky_slope)

        self.features = _channels_last(
            nn.Sequential(
                nn.Conv2d(CELL * CELL, first, 2),
                activation(),
                nn.Conv2d(first, second, 3, padding=1),
                activation(),
                nn.Conv2d(second, third, 3, stride=2, padding=1),
                activation(),
                nn.Flatten(),
                nn.Linear(third * half, settings.hidden),
                activation(),
            )
        )
        self.head = nn.Linear(settings.hidden, 1)
        self.embedding = nn.Embedding(classes, settings.hidden)
        nn.init.normal_(self.embedding.weight, 0, EMBEDDING_SPREAD)
        self.reading = nn.Linear(settings.hidden, classes) if reads else None
        self.deviation = MinibatchStddev(classes) if settings.minibatch_deviation else None
        self.fades = settings.deviation_fades
        self.noise = nn.Linear(settings.hidden, noise_dim) if noise_dim else None

    def forward(self, image: Tensor, label: Tensor, sets: int = 1) -> DiscriminatorOutput:
        """Judge images; see Discriminator."""
        features = self.features(_cells(image))  # [batch, hidden]
        logit: Tensor = self.head(features).squeeze(1)  # [batch]
        logit = logit + (self.embedding(label) * features).sum(1)
        if self.deviation is not None:
            share = 1 - self.progress if self.fades else 1.0
            logit = logit + share * self.deviation(features, label, sets)
        reading, noise = (
            head(features) if head is not None else None for head in (self.reading, self.noise)
        )
        return DiscriminatorOutput(logit, reading, noise)


def _cells(image: Tensor) -> Tensor:
    """Return [batch, 16, rows + 1, columns + 1]: cells that lie half a cell off the grid.

    A 2 x 2 convolution on them is an 8 x 8 one with a stride of 4 on the image, at a third of the
    time (oneDNN, bf16): it multiplies longer rows.
    """
    framed = functional.pad(image, [CELL // 2] * 4, value=-1)  # with background
    return functional.pixel_unshuffle(framed, CELL).contiguous(memory_format=torch.channels_last)


def _grid(height: int, width: int) -> tuple[int, int]:
    if height % CELL or width % CELL:
        raise RecipeError(
            f"convolutional networks need sides that {CELL} divides, not {height} x {width}; "
            "take a recipe of perceptrons"
        )
    return height // CELL, width // CELL


def _channels_last(layers: nn.Sequential) -> nn.Sequential:
    """Keep weights as convolutions on CPUs and tensor cores like them: [out, h, w, in]."""
    return layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
