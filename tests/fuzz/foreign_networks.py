"""Generators of other people's kinds, whose traces contain most operators of model files."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

NOISE_DIM, CLASSES = 8, 4


class Transposed(nn.Module):
    """Transposed convolutions with batch norm, an embedded label and a hard tanh."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CLASSES, NOISE_DIM)
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(2 * NOISE_DIM, 8, 4),
            nn.BatchNorm2d(8),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(8, 1, 4, 2, 1),
            nn.Hardtanh(),
        )

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        images: Tensor = self.layers(torch.cat([noise, self.embedding(label)], 1)[..., None, None])
        return images


class Transformer(nn.Module):
    """Tokens with attention, layer norm and GELU, folded to an image."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Linear(NOISE_DIM, 4 * 8)
        self.position = nn.Parameter(torch.randn(1, 4, 8))
        self.embedding = nn.Embedding(CLASSES, 8)
        self.layer = nn.TransformerEncoderLayer(
            8, 2, 16, activation="gelu", batch_first=True, norm_first=True
        )
        self.output = nn.Linear(8, 12)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        tokens = self.tokens(noise).reshape(-1, 4, 8) + self.position
        tokens = torch.cat([self.embedding(label)[:, None], tokens], 1)
        patches = self.output(self.layer(tokens)[:, 1:]).transpose(1, 2)
        return functional.fold(patches, (4, 4), 2, stride=2).tanh()


class Styled(nn.Module):
    """A style network, weights of every image's own, and bilinear upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(NOISE_DIM + CLASSES, 8), nn.ELU())
        self.constant = nn.Parameter(torch.randn(1, 8, 4, 4))
        self.weight = nn.Parameter(torch.randn(6, 8, 3, 3) / 9)
        self.output = nn.Conv2d(6, 3, 1)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        noise = noise * torch.rsqrt(noise.square().mean(1, keepdim=True) + 1e-8)
        one_hot = functional.one_hot(label, CLASSES).float()
        style = self.mapping(torch.cat([noise, one_hot], 1))
        weight = self.weight * style[:, None, :, None, None]
        weight = weight / weight.square().sum((2, 3, 4), keepdim=True).add(1e-8).sqrt()
        columns = functional.unfold(self.constant.expand(len(noise), -1, -1, -1), 3, padding=1)
        image = (weight.flatten(2) @ columns).view(-1, 6, 4, 4)
        image = functional.interpolate(image, size=(8, 8), mode="bilinear", align_corners=False)
        images: Tensor = self.output(functional.silu(image))
        return images.clamp(-1, 1)


class Modulated(nn.Module):
    """Instance norm with a scale and shift of the label, reflected borders and pixel shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(NOISE_DIM, 8 * 16)
        self.film = nn.Embedding(CLASSES, 16)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.group = nn.GroupNorm(2, 8)
        self.slope = nn.PReLU(8)
        self.convolution = nn.Conv2d(8, 12, 3, padding=1, padding_mode="reflect")

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        features = self.first(noise).unflatten(1, (8, 4, 4))
        scale, shift = self.film(label)[:, :, None, None].chunk(2, 1)
        features = self.slope(self.norm(features) * (1 + scale) + shift)
        gate = functional.adaptive_avg_pool2d(features, 1).sigmoid()
        features = self.group(features * gate) + functional.max_pool2d(features, 3, 1, 1)
        return functional.pixel_shuffle(self.convolution(features), 2).tanh()


class Coordinates(nn.Module):
    """A perceptron of pixel coordinates, with selections by label and by mask."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8 + NOISE_DIM, 16), nn.Linear(16, 1)
        self.bank = nn.Parameter(torch.randn(CLASSES, 16))
        self.frequencies = nn.Parameter(torch.randn(2, 4) * math.pi)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        grid = torch.linspace(-1, 1, 5)
        points = torch.stack(torch.meshgrid(grid, grid, indexing="ij"), -1).view(-1, 2)
        angles = points @ self.frequencies
        waves = torch.cat([angles.sin(), angles.cos()], -1)[None].repeat(noise.shape[0], 1, 1)
        pixels = torch.cat([waves, noise[:, None].expand(-1, 25, -1)], -1)
        hidden = torch.einsum("bpi,bi->bpi", self.first(pixels), self.bank[label])
        hidden = torch.where(hidden > 0, hidden, functional.softplus(hidden) - 1)
        hidden = hidden.cumsum(-1) / hidden.abs().amax(-1, keepdim=True)
        weights = functional.softmax(hidden.flip(1), -1)
        images: Tensor = self.last(hidden * weights)
        return images.transpose(1, 2).reshape(-1, 1, 5, 5).clamp(-1, 1)


NETWORKS: Mapping[str, type[nn.Module]] = {
    each.__name__.lower(): each
    for each in (Transposed, Transformer, Styled, Modulated, Coordinates)
}
