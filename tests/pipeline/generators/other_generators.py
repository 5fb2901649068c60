"""Further generators as other projects write them, with random weights.

Their forward() methods differ; images() calls each one correctly.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

NOISE_DIM, CLASSES = 16, 5


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


NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    each.__name__: each for each in (Heads, OnePixel, LabelMap, ClassToken, Rows, Activations)
}


def network(name: str) -> nn.Module:
    """Return a network in eval mode."""
    torch.manual_seed(7)
    return NETWORKS[name]().eval()


def images(module: nn.Module, noise: Tensor, label: Tensor) -> Tensor:
    """Call a network with its own arguments."""
    inputs = noise, label
    if isinstance(module, OnePixel):
        one_hot = functional.one_hot(label, CLASSES).float()
        inputs = one_hot[:, :, None, None], noise[:, :, None, None]
    result: Tensor = module(*inputs)
    return result
