"""Code that must be rewritten before torch.export or torch.onnx can trace it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cgan_export import export_generator
from cgan_runtime import ImageGenerator
from cgan_runtime.noise import standard_normal

NAMES = ["a", "b", "c"]
PARTS, UNITS = len(NAMES), 16
Body = Callable[[Any, Tensor, Tensor], Tensor]


class Written(nn.Module):
    """body(self, features [batch, PARTS, UNITS], label [batch]) returns [batch, UNITS]."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Linear(6, PARTS * UNITS)
        self.last: nn.Module = nn.Linear(UNITS, 20)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(UNITS, 2, 8, batch_first=True), 1
        )
        self.causal: Tensor
        self.register_buffer("causal", nn.Transformer.generate_square_subsequent_mask(PARTS))
        self.steps: Tensor
        self.register_buffer("steps", torch.tensor([2, 1]))
        self.body = body

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        features = self.body(self, self.first(noise).view(-1, PARTS, UNITS), label)
        return torch.tanh(self.last(features)).view(-1, 1, 4, 5)


def flat_index(_: Any, features: Tensor, label: Tensor) -> Tensor:
    position = torch.arange(features.shape[0], device=features.device)
    return features.view(-1, UNITS)[position * PARTS + label]


def take_along_dim(_: Any, features: Tensor, label: Tensor) -> Tensor:
    part = features.mean(2).take(torch.arange(len(label)) * PARTS + label)
    selected = torch.take_along_dim(features, label[:, None, None], dim=1).squeeze(1)
    return selected * part.unsqueeze(1)


def rrelu_and_squeeze(_: Any, features: Tensor, label: Tensor) -> Tensor:
    part: Tensor = nn.RReLU(0.1, 0.3, inplace=True).eval()(features[:, 0] * 1.0)
    return part.squeeze(1) + label[:, None]  # axis 1 has more than one element


def causal_mask(self: Any, features: Tensor, label: Tensor) -> Tensor:
    result: Tensor = self.encoder(features, mask=self.causal)[:, 2]
    return result + label[:, None]


def python_scalars(self: Any, features: Tensor, label: Tensor) -> Tensor:
    result = features[:, 0] * float(self.last.weight[0, 0])
    if self.steps.sum() > 2:
        for step in self.steps.tolist():
            result = result * step + self.last.bias[int(self.steps[0])].item()
    return result + label[:, None]


def inverse(self: Any, features: Tensor, label: Tensor) -> Tensor:
    weight = self.encoder.layers[0].self_attn.out_proj.weight + 2 * torch.eye(UNITS)
    return features[:, 0] @ torch.inverse(weight.double()).float() + label[:, None]


def topk_and_sort(_: Any, features: Tensor, label: Tensor) -> Tensor:
    scores, index = features.mean(2).topk(2)
    first = features.gather(1, index[:, :1, None].expand(-1, -1, UNITS)).squeeze(1)
    order = features[:, 1].argsort(1, descending=True)
    smallest = features[:, 2].sort(1).values + features[:, 1].topk(UNITS, largest=False)[0]
    return first * scores[:, :1] + smallest + order / UNITS + label[:, None]


BODIES = [
    flat_index,
    take_along_dim,
    rrelu_and_squeeze,
    causal_mask,
    python_scalars,
    inverse,
    topk_and_sort,
]


@pytest.mark.parametrize("body", BODIES)
def test_the_file_generates_the_images_of_the_module(body: Body, tmp_path: Path) -> None:
    module, path = Written(body).eval(), tmp_path / "m.onnx"
    export_generator(module, path, noise_dim=6, class_names=NAMES)
    labels = [2, 0, 1, 1, 0]
    noise = torch.from_numpy(standard_normal(4, 0, len(labels), 6))
    with torch.inference_mode():
        expected = (module(noise, torch.tensor(labels)).numpy() + 1) * 127.5
    with ImageGenerator(path, "cpu") as generator:
        assert np.abs(generator.generate(labels, seed=4) - expected).max() <= 1
    assert expected.std() > 5
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_transposed_convolution_with_groups_stays_float_in_int8(tmp_path: Path) -> None:
    module = Written(lambda _, features, label: features[:, 0] + label[:, None])
    path = tmp_path / "m.onnx"
    module.last = nn.Sequential(
        nn.Unflatten(1, (4, 2, 2)),
        nn.ConvTranspose2d(4, 4, 2, 2, groups=2),
        nn.Flatten(),
        nn.Linear(64, 20),
    )
    report = export_generator(module.eval(), path, noise_dim=6, class_names=NAMES, precision="int8")
    assert report.max_pixel_error < 30
