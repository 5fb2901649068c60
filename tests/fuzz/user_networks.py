"""Generators with typical published architectures and random weights.

Their graphs contain most of the operators that a model file may have.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

NOISE_DIM, CLASSES = 16, 5


class Transposed(nn.Module):
    """DCGAN: an embedded label, transposed convolutions, batch norm; RGB."""

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
    """FiLM on a one-hot label, instance and group norm, pooling, pixel shuffle; gray in 0..255."""

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
        gate = functional.adaptive_avg_pool2d(x, 1).sigmoid()
        x = functional.elu(self.norms[1](x * gate)) + functional.max_pool2d(x, 3, 1, 1)
        image: Tensor = self.last(x)
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
        self.convolution = Modulated(8, 8, 24)
        self.weight, self.style = nn.Parameter(torch.randn(3, 8 * 9)), nn.Linear(24, 8 * 9)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        style = self.mapping(torch.cat([functional.normalize(z), self.embedding(y)], 1))
        x = self.convolution(self.constant.expand(z.shape[0], -1, -1, -1), style)
        weight = self.weight * (1 + self.style(style)).unsqueeze(1)  # [batch, 3, inputs]
        weight = weight / weight.square().sum(2, keepdim=True).add(1e-8).sqrt()
        x = (weight @ functional.unfold(x, 3, padding=1)).view(-1, 3, 8, 8)
        x = functional.interpolate(x, size=(16, 16), mode="bilinear", align_corners=False)
        return x.clamp(-1, 1)


class Heads(nn.Module):
    """One head per label, selected as in the mapping network of StarGAN v2."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(NOISE_DIM, 24), nn.ReLU())
        self.heads = nn.ModuleList([nn.Linear(24, 12) for _ in range(CLASSES)])
        self.image = nn.Linear(12, 64)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        shared = self.shared(z)
        out = torch.stack([head(shared) for head in self.heads], dim=1)
        idx = torch.LongTensor(range(y.size(0))).to(y.device)
        return torch.tanh(self.image(out[idx, y])).view(-1, 1, 8, 8)


class OnePixel(nn.Module):
    """A DCGAN whose noise and one-hot labels are images of one pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.noise = nn.ConvTranspose2d(NOISE_DIM, 16, 4, bias=False)
        self.label = nn.ConvTranspose2d(CLASSES, 16, 4, bias=False)
        self.norm = nn.BatchNorm2d(32)
        self.image = nn.ConvTranspose2d(32, 3, 4, 2, 1)

    def forward(self, label: Tensor, input: Tensor) -> Tensor:  # noqa: A002
        x = torch.cat([self.noise(input), self.label(label)], 1)
        return torch.tanh(self.image(functional.relu(self.norm(x), inplace=True)))


class LabelMap(nn.Module):
    """A U-Net on a map of the label, with skips and instance norm with running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.noise, self.label = nn.Linear(NOISE_DIM, 144), nn.Embedding(CLASSES, 144)
        self.down = nn.ModuleList([nn.Conv2d(2, 8, 4, 2, 1), nn.Conv2d(8, 16, 4, 2, 1)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.Conv2d(16, 8, 3, 1, 1)])
        self.norm = nn.InstanceNorm2d(8, affine=True, track_running_stats=True)
        self.image = nn.Conv2d(10, 1, 3, padding="same")

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        maps = torch.hstack((self.noise(noise), self.label(labels))).view(-1, 2, 12, 12)
        first = functional.leaky_relu(self.down[0](maps), 0.2)
        second = functional.leaky_relu(self.down[1](first), 0.2)
        x = torch.cat([self.norm(self.up[0](second)), first], 1)
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return torch.tanh(self.image(torch.cat([functional.relu(self.up[1](x)), maps], 1)))


class ClassToken(nn.Module):
    """A transformer decoder that attends to a class token and noise tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.noise = nn.Embedding(CLASSES, 16), nn.Linear(NOISE_DIM, 2 * 16)
        self.queries = nn.Parameter(torch.randn(1, 16, 16))
        layer = nn.TransformerDecoderLayer(16, 2, 32, batch_first=True, activation="gelu")
        self.decoder = nn.TransformerDecoder(layer, 1)
        self.patch = nn.Linear(16, 3 * 4)

    def forward(self, z: Tensor, y: Tensor, temperature: float = 1.0) -> Tensor:
        noise = self.noise(z * temperature).view(len(z), 2, 16)
        memory = torch.cat([self.token(y)[:, None], noise], 1)
        patches = self.patch(self.decoder(self.queries.expand(len(z), -1, -1), memory))
        image = torch.einsum("bhwcpq->bchpwq", patches.view(-1, 4, 4, 3, 2, 2))
        return torch.tanh(image.reshape(-1, 3, 8, 8))


class Rows(nn.Module):
    """A recurrent network that writes an image row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.label = nn.Embedding(CLASSES, 8)
        self.rnn = nn.GRU(NOISE_DIM + 8, 20, batch_first=True)
        self.row = nn.Linear(20, 9)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        inputs = torch.cat([noise, self.label(label)], 1).unsqueeze(1).repeat(1, 5, 1)
        return torch.tanh(self.row(self.rnn(inputs)[0])).unsqueeze(1)


class Activations(nn.Module):
    """Many activations, computed weights, an embedding times the noise, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.label = nn.Embedding(CLASSES, NOISE_DIM, max_norm=2.0)
        self.first = parametrizations.weight_norm(nn.Linear(NOISE_DIM, 16 * 16))
        self.norm, self.slope = nn.GroupNorm(4, 16), nn.PReLU(16)
        self.convolution = parametrizations.spectral_norm(
            nn.Conv2d(16, 12, 3, padding=1, padding_mode="circular")
        )
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor([0.1, 0, -0.1]).view(3, 1, 1), persistent=False)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        x = self.first(torch.mul(self.label(label), noise)).view(-1, 16, 4, 4)
        x = self.slope(self.norm(functional.mish(x) + functional.softplus(x)))
        x = functional.silu(x) + functional.hardswish(x) + functional.celu(x) - functional.selu(x)
        x = functional.pixel_shuffle(self.convolution(x), 2) + self.mean
        return torch.tanh(functional.interpolate(x, scale_factor=2, mode="bicubic"))


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
        hidden = torch.where(hidden > 0, hidden, functional.softplus(hidden) - math.log(2))
        hidden = hidden.cumsum(-1) / (1 + hidden.abs().amax(-1, keepdim=True))
        images: Tensor = self.last(hidden * functional.softmax(hidden.flip(1), -1))
        return functional.hardtanh(4 * images).transpose(1, 2).reshape(-1, 1, 5, 5)


NETWORKS: Mapping[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        Transposed,
        Residual,
        Attention,
        Film,
        Style,
        Heads,
        OnePixel,
        LabelMap,
        ClassToken,
        Rows,
        Activations,
        Coordinates,
    )
}
VALUE_RANGES = {"Attention": (0, 1), "Film": (0, 255)}  # of the other networks: (-1, 1)


def network(name: str) -> nn.Module:
    """Return a network with running statistics, in eval mode."""
    torch.manual_seed(7)
    module = NETWORKS[name]()
    with torch.no_grad():
        for _ in range(3):
            images(module, torch.randn(32, NOISE_DIM), torch.arange(32) % CLASSES)
    return module.eval()


def images(module: nn.Module, noise: Tensor, label: Tensor) -> Tensor:
    """Call a network with its own inputs."""
    inputs = noise, label
    if isinstance(module, OnePixel):
        one_hot = functional.one_hot(label, CLASSES).float()
        inputs = one_hot[:, :, None, None], noise[:, :, None, None]
    result: Tensor = module(*inputs)
    return result


def film() -> nn.Module:
    """Return a network for the command line: cgan-export user_networks:film."""
    return network("Film")
