"""Small convolutional networks that work on a coarse grid, whose cells are 4 x 4 pixels."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_runtime.model_file.contract import ImageShape
from cgan_training.errors import RecipeError
from cgan_training.networks.discriminator import Discriminator, DiscriminatorOutput
from cgan_training.networks.minibatch_stddev import MinibatchStddev
from cgan_training.recipe import ConvolutionalDiscriminator, ConvolutionalGenerator

CELL = 4  # pixels per side of a grid cell: 28 x 28 pixels are a grid of 7 x 7
EMBEDDING_STD = 0.1  # of the label embeddings at the start


def generator_layers(
    settings: ConvolutionalGenerator, inputs: int, image_shape: ImageShape
) -> nn.Sequential:
    """Return the layers of a generator; see Generator for their input and output.

    All convolutions work on the coarse grid, and the last one computes the pixels of each cell
    (Shi et al. 2016, sec. 3). This is several times cheaper than upsampling in several layers.
    """
    rows, columns = _grid(image_shape)
    channels = settings.channels
    layers: list[nn.Module] = [
        nn.Linear(inputs, settings.hidden),
        nn.BatchNorm1d(settings.hidden),
        nn.ReLU(),
        nn.Linear(settings.hidden, channels * rows * columns),
        nn.Unflatten(1, (channels, rows, columns)),  # [batch, channels, rows, columns]
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]
    for _ in range(settings.convolutions):
        convolution = nn.Conv2d(channels, channels, 3, padding=1)
        layers += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
    pixels = image_shape[0] * CELL * CELL  # of one cell, in all channels
    layers += [nn.Conv2d(channels, pixels, 3, padding=1), nn.PixelShuffle(CELL)]
    return _channels_last(nn.Sequential(*layers))


class ConvolutionalDiscriminatorNetwork(Discriminator):
    """Three convolutions and a linear layer; the label enters by projection.

    The first convolution covers 8 x 8 pixels with a stride of 4, so that all others work on the
    coarse grid. Projection: Miyato & Koyama 2018, sec. 3.
    """

    def __init__(
        self, settings: ConvolutionalDiscriminator, classes: int, image_shape: ImageShape
    ) -> None:
        super().__init__()
        rows, columns = _grid(image_shape)
        first, second, third = settings.channels
        cells = -(-rows // 2) * -(-columns // 2)  # after the convolution with a stride of 2
        activation = nn.LeakyReLU(settings.negative_slope)
        layers = nn.Sequential(
            nn.Conv2d(image_shape[0] * CELL * CELL, first, 2),
            activation,
            nn.Conv2d(first, second, 3, padding=1),
            activation,
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            activation,
            nn.Flatten(),
            nn.Linear(third * cells, settings.hidden),
            activation,
        )
        self.layers, self.feature_dim = _channels_last(layers), settings.hidden
        self.head = nn.Linear(settings.hidden, 1)
        self.embedding = nn.Embedding(classes, settings.hidden)
        nn.init.normal_(self.embedding.weight, 0, EMBEDDING_STD)
        self.minibatch_stddev = MinibatchStddev(classes) if settings.minibatch_stddev else None
        self.minibatch_stddev_fades = settings.minibatch_stddev_fades

    def forward(
        self, image: Tensor, label: Tensor, groups: int = 1, progress: float | Tensor = 0.0
    ) -> DiscriminatorOutput:
        """Return logits and features; see Discriminator."""
        features = self.layers(_cells(image))  # [batch, feature_dim]
        logits: Tensor = self.head(features).squeeze(1)  # [batch]
        logits = logits + (self.embedding(label) * features).sum(1)
        if self.minibatch_stddev is not None:
            scale = 1 - progress if self.minibatch_stddev_fades else 1.0
            logits = logits + scale * self.minibatch_stddev(features, label, groups)
        return DiscriminatorOutput(logits, features)


def _cells(image: Tensor) -> Tensor:
    """Return [batch, 16 * channels, rows + 1, columns + 1]: the cells of a grid.

    The grid is shifted by half a cell. A 2 x 2 convolution on it equals an 8 x 8 convolution with a
    stride of 4 on the image, in a third of the time (measured with oneDNN in bf16), because its
    matrix rows are longer.
    """
    padded = functional.pad(image, [CELL // 2] * 4, value=-1)  # pads with background
    return functional.pixel_unshuffle(padded, CELL).contiguous(memory_format=torch.channels_last)


def _grid(image_shape: ImageShape) -> tuple[int, int]:
    _, height, width = image_shape
    if height % CELL or width % CELL:
        raise RecipeError(
            f"convolutional networks need image sides that are multiples of {CELL}, got "
            f"{height} x {width}; use the recipe classic, or resize the images"
        )
    return height // CELL, width // CELL


def _channels_last(layers: nn.Sequential) -> nn.Sequential:
    """Store the weights as [out, h, w, in], the fastest order on CPUs and tensor cores."""
    return layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
