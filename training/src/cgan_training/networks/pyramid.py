"""A discriminator of 3 x 3 convolutions on several grids, from fine to coarse."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_runtime.model_file.contract import ImageShape
from cgan_training.networks.projection import ProjectionDiscriminator
from cgan_training.recipe import PyramidDiscriminatorSettings

FINEST_CELL = 2  # pixels per side of a cell of the finest grid
MAX_COARSEST_GRID = 4  # cells per side of the coarsest grid


class PyramidDiscriminator(ProjectionDiscriminator):
    """Convolutions see texture on the fine grids, and shapes on the coarse ones.

    A pixel unshuffle makes the finest grid, which is much faster than convolutions on pixels.
    Average pooling halves each grid. Unlike a strided convolution, it does not alias patterns of
    alternating pixels. If the image is larger than the given grids cover, finer grids with
    channels[0] channels are added.
    """

    def __init__(
        self, settings: PyramidDiscriminatorSettings, classes: int, image_shape: ImageShape
    ) -> None:
        colors, *sides = image_shape
        halvings = max(0, math.ceil(math.log2(max(sides) / (MAX_COARSEST_GRID * FINEST_CELL))))
        grids = [settings.channels[0]] * (halvings + 1 - len(settings.channels))
        grids += settings.channels
        coarsest_cell = FINEST_CELL * 2 ** (len(grids) - 1)  # pixels per side
        height, width = (math.ceil(side / coarsest_cell) * coarsest_cell for side in sides)
        activation = nn.LeakyReLU(settings.negative_slope)
        layers: list[nn.Module] = []
        in_channels = colors * FINEST_CELL**2
        for number, channels in enumerate(grids):
            layers += [nn.AvgPool2d(2)] if number else []
            for _ in range(settings.convolutions):
                layers += [nn.Conv2d(in_channels, channels, 3, padding=1), activation]
                in_channels = channels
        cells = height * width // coarsest_cell**2
        layers += [nn.Flatten(), nn.Linear(in_channels * cells, settings.hidden), activation]
        super().__init__(nn.Sequential(*layers), settings, classes)
        self.padding = (0, width - sides[1], 0, height - sides[0])

    def inputs(self, image: Tensor) -> Tensor:
        """Return [batch, 4 * channels, rows, columns]: the cells of the finest grid."""
        padded = functional.pad(image, self.padding, mode="replicate")
        cells = functional.pixel_unshuffle(padded, FINEST_CELL)
        return cells.contiguous(memory_format=torch.channels_last)
