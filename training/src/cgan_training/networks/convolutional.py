"""Small convolutional networks, which do most of their work on coarse grids."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_runtime.model_file.contract import ImageShape
from cgan_training.networks.projection import ProjectionDiscriminator, channels_last
from cgan_training.recipe import ConvolutionalDiscriminatorSettings, ConvolutionalGeneratorSettings

CELL = 4  # pixels per side of a grid cell: 28 x 28 pixels are a grid of 7 x 7
MAX_GRID = 8  # cells per side of the grid that a generator with doublings starts from


class Crop(nn.Module):
    """Keep the upper left part of feature maps.

    Args:
        height, width: size of the part, in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, maps: Tensor) -> Tensor:
        """Return [..., height, width]."""
        return maps[..., : self.height, : self.width]


def generator_layers(
    settings: ConvolutionalGeneratorSettings, inputs: int, image_shape: ImageShape
) -> nn.Sequential:
    """Return the layers of a generator; see Generator for their input and output.

    Linear layers make a grid of cells, convolutions work on it, and a pixel shuffle turns the
    channels of a cell into its pixels (Shi et al. 2016, sec. 3). Before that, a pixel shuffle by 2
    doubles the grid once for each of settings.finer_channels. Pixels outside the image are cut off.
    """
    colors, height, width = image_shape
    doublings, cell = _doublings(settings.finer_channels, max(height, width))
    covered = cell << len(doublings)  # pixels per side of a cell of the first grid
    rows, columns = -(-height // covered), -(-width // covered)
    channels = settings.channels
    layers: list[nn.Module] = [
        nn.Linear(inputs, settings.hidden),
        nn.BatchNorm1d(settings.hidden),
        nn.ReLU(),
        nn.Linear(settings.hidden, channels * rows * columns),
        nn.Unflatten(1, (channels, rows, columns)),  # [batch, channels, rows, columns]
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        *_convolutions(settings.convolutions, channels),
    ]
    for finer in doublings:
        layers += [*_convolution(channels, 4 * finer, repeats=4), nn.PixelShuffle(2)]
        layers += _convolutions(settings.convolutions, finer)
        channels = finer
    layers.append(_repeated(nn.Conv2d(channels, colors * cell * cell, 3, padding=1), cell * cell))
    if cell > 1:
        layers.append(nn.PixelShuffle(cell))
    if height % covered or width % covered:
        layers.append(Crop(height, width))
    return channels_last(nn.Sequential(*layers))


def _doublings(finer_channels: tuple[int, ...], side: int) -> tuple[list[int], int]:
    """Return the channels of the grids after the first one, and the cell size of the last one.

    If the first grid would exceed MAX_GRID cells per side, more grids with finer_channels[0]
    channels are inserted before the others.
    """
    if not finer_channels:
        return [], CELL
    cell = CELL >> len(finer_channels)
    further = max(0, math.ceil(math.log2(side / (MAX_GRID * CELL))))
    return [finer_channels[0]] * further + list(finer_channels), cell


def _convolutions(count: int, channels: int) -> list[nn.Module]:
    return [layer for _ in range(count) for layer in _convolution(channels, channels)]


def _convolution(inputs: int, outputs: int, repeats: int = 1) -> list[nn.Module]:
    convolution = _repeated(nn.Conv2d(inputs, outputs, 3, padding=1), repeats)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def _repeated(convolution: nn.Conv2d, repeats: int) -> nn.Conv2d:
    """Initialize a convolution for a pixel shuffle (ICNR).

    All pixels of a cell start with equal weights. Different weights would show as a checkerboard
    (Aitken et al. 2017, sec. 3.3).
    """
    for parameter in convolution.parameters():
        values = parameter.detach()[::repeats].repeat_interleave(repeats, dim=0)
        parameter.data.copy_(values)
    return convolution


class ConvolutionalDiscriminator(ProjectionDiscriminator):
    """Three convolutions and a linear layer.

    The first convolution covers 8 x 8 pixels with a stride of 4, so the other two work on a coarse
    grid.
    """

    def __init__(
        self, settings: ConvolutionalDiscriminatorSettings, classes: int, image_shape: ImageShape
    ) -> None:
        colors, height, width = image_shape
        rows, columns = -(-height // CELL), -(-width // CELL)
        first, second, third = settings.channels
        cells = -(-rows // 2) * -(-columns // 2)  # after the convolution with a stride of 2
        activation = nn.LeakyReLU(settings.negative_slope)
        layers = nn.Sequential(
            nn.Conv2d(colors * CELL * CELL, first, 2),
            activation,
            nn.Conv2d(first, second, 3, padding=1),
            activation,
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            activation,
            nn.Flatten(),
            nn.Linear(third * cells, settings.hidden),
            activation,
        )
        super().__init__(layers, settings, classes)

    def inputs(self, image: Tensor) -> Tensor:
        """Return [batch, 16 * channels, rows + 1, columns + 1]: the cells of a grid.

        The grid is shifted by half a cell. A 2 x 2 convolution on it equals an 8 x 8 convolution
        with a stride of 4 on the image, in a third of the time (measured with oneDNN in bf16),
        because its matrix rows are longer.
        """
        right, bottom = (CELL // 2 + -side % CELL for side in (image.shape[3], image.shape[2]))
        padded = functional.pad(image, [CELL // 2, right, CELL // 2, bottom], value=-1)
        cells = functional.pixel_unshuffle(padded, CELL)
        return cells.contiguous(memory_format=torch.channels_last)
