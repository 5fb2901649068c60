"""Five generators whose architectures cgan-train lacks, with random weights.

Tests name them as a user would: cgan-export my_generators:transposed.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

NOISE_DIM, CLASSES = 16, 3


class Transposed(nn.Module):
    """DCGAN: an embedded label, transposed convolutions, batch norm; RGB in -1..1."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CLASSES, 8)
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(NOISE_DIM + 8, 24, 4, bias=False),
            nn.BatchNorm2d(24),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(24, 12, 4, 2, 1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.ConvTranspose2d(12, 3, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        inputs = torch.cat([z, self.embedding(y)], 1)[:, :, None, None]
        image: Tensor = self.layers(inputs)
        return image


class ConditionalNorm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale, self.shift = nn.Embedding(CLASSES, channels), nn.Embedding(CLASSES, channels)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        scale, shift = self.scale(y)[:, :, None, None], self.shift(y)[:, :, None, None]
        normalized: Tensor = self.norm(x) * (1 + scale) + shift
        return normalized


class Residual(nn.Module):
    """Residual blocks with conditional batch norm, spectral norm and nearest upsampling; gray."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(NOISE_DIM, 12 * 5 * 3)
        self.norms = nn.ModuleList([ConditionalNorm(12), ConditionalNorm(8)])
        convolutions = nn.Conv2d(12, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.convolutions = nn.ModuleList(map(parametrizations.spectral_norm, convolutions))
        self.skip, self.last = nn.Conv2d(12, 8, 1), nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        x = self.first(noise).view(len(noise), 12, 5, 3)  # not square
        hidden = functional.interpolate(functional.relu(self.norms[0](x, label)), scale_factor=2)
        hidden = self.convolutions[0](hidden)
        hidden = self.convolutions[1](functional.relu(self.norms[1](hidden, label)))
        hidden = hidden + self.skip(functional.interpolate(x, scale_factor=2.0))
        return torch.tanh(self.last(hidden))


class Attention(nn.Module):
    """Self-attention with layer norm and GELU on patches, folded to an image; RGB in 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.noise, self.label = nn.Linear(NOISE_DIM, 16), nn.Embedding(CLASSES, 16)
        self.positions = nn.Parameter(torch.randn(1, 16, 16))
        self.norms = nn.ModuleList([nn.LayerNorm(16), nn.LayerNorm(16)])
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(16, 32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, 3 * 16)
        )

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        x = self.positions + (self.noise(z) + self.label(y)).unsqueeze(1)
        hidden = self.norms[0](x)
        x = x + self.attention(hidden, hidden, hidden, need_weights=False)[0]
        patches = self.mlp(self.norms[1](x)).transpose(1, 2)  # [batch, 3 * 16, patches]
        return torch.sigmoid(functional.fold(patches, (16, 16), 4, stride=4))


class Film(nn.Module):
    """FiLM on a one-hot label, instance and group norm, pixel shuffle; gray in 0..255."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(NOISE_DIM + CLASSES, 16 * 4 * 4)
        self.film = nn.Linear(NOISE_DIM + CLASSES, 32)
        self.convolution = nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect")
        self.norms = nn.ModuleList([nn.InstanceNorm2d(16, affine=True), nn.GroupNorm(4, 16)])
        self.last = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.PixelShuffle(4))

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        one_hot = functional.one_hot(label, CLASSES).float()
        condition = torch.cat([noise, one_hot], 1)
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, 1)
        x = self.convolution(self.first(condition).unflatten(1, (16, 4, 4)))
        x = functional.silu(self.norms[0](x) * (1 + scale) + shift)
        image: Tensor = self.last(functional.elu(self.norms[1](x)))
        return 255 * torch.sigmoid(3 * image)


class Modulated(nn.Module):
    """A convolution whose weights depend on the image's style: one group per image."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.style = nn.Linear(style, inputs)
        self.noise: Tensor
        self.register_buffer("noise", torch.randn(1, 1, 8, 8))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        batch, inputs, height, width = x.shape
        outputs = self.weight.shape[0]
        weight = self.weight * (1 + self.style(style)).view(batch, 1, inputs, 1, 1)
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
        weight = weight.view(batch * outputs, inputs, 3, 3)
        x = x.reshape(1, batch * inputs, height, width)
        x = functional.conv2d(x, weight, padding=1, groups=batch).view(batch, outputs, 8, 8)
        return functional.leaky_relu(x + 0.1 * self.noise, 0.2) * math.sqrt(2)


class Style(nn.Module):
    """A mapping network, modulated convolutions on a constant, bilinear upsampling; RGB."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CLASSES, NOISE_DIM)
        self.mapping = nn.Sequential(nn.Linear(2 * NOISE_DIM, 24), nn.LeakyReLU(0.2))
        self.constant = nn.Parameter(torch.randn(1, 8, 8, 8))
        self.convolutions = nn.ModuleList([Modulated(8, 8, 24), Modulated(8, 6, 24)])
        self.color = nn.Conv2d(6, 3, 1)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        style = self.mapping(torch.cat([functional.normalize(z), self.embedding(y)], 1))
        x = self.constant.expand(z.shape[0], -1, -1, -1)
        for convolution in self.convolutions:
            x = convolution(x, style)
        x = functional.interpolate(x, scale_factor=2, mode="bilinear")
        return torch.tanh(self.color(x))


def _built(kind: Callable[[], nn.Module]) -> nn.Module:
    """Return a network with running statistics, in eval mode."""
    torch.manual_seed(7)
    network = kind()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(32, NOISE_DIM), torch.arange(32) % CLASSES)
    return network.eval()


def transposed() -> nn.Module:
    return _built(Transposed)


def residual() -> nn.Module:
    return _built(Residual)


def attention() -> nn.Module:
    return _built(Attention)


def film() -> nn.Module:
    return _built(Film)


def style() -> nn.Module:
    return _built(Style)
