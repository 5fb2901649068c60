"""Signatures of forward() that cgan-export recognizes, and the forms of noise and labels."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from cgan_export.source.call_forms import adapt, check_signature

NOISE_DIM, CLASSES = 6, 4
Forward = Callable[..., Tensor]


class Module(nn.Module):
    def __init__(self, forward: Forward) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.table = nn.Linear(NOISE_DIM, 12), nn.Embedding(CLASSES, 12)
        self.number = nn.Linear(1, 12)
        self.forward = forward.__get__(self)

    def image(self, noise: Tensor, features: Tensor) -> Tensor:
        return torch.tanh(self.first(noise) + features).view(-1, 1, 3, 4)


def by_label(self: Module, z: Tensor, y: Tensor) -> Tensor:
    return self.image(z, self.table(y))


def by_number(self: Module, z: Tensor, y: Tensor) -> Tensor:
    return self.image(z, self.number(y[:, None].float()))


def one_number(self: Any, z: Tensor, y: Tensor) -> Tensor:
    assert y.shape == (len(z),)
    assert y.is_floating_point()
    result: Tensor = self.image(z, self.number(y.unsqueeze(1)))
    return result


def one_pixel(self: Module, z: Tensor, y: Tensor) -> Tensor:
    return self.image(z.view(-1, NOISE_DIM), y.flatten(1) @ self.table.weight)


SIGNATURES: dict[str, tuple[Forward, Forward]] = {
    "(z, y)": (by_label, by_label),
    "(labels, z)": (lambda self, labels, z: by_label(self, z, labels), by_label),
    "(class_idx, latent)": (
        lambda self, class_idx, latent: by_label(self, latent, class_idx),
        by_label,
    ),
    "(gen_labels, random_noise)": (
        lambda self, gen_labels, random_noise: by_label(self, random_noise, gen_labels),
        by_label,
    ),
    "(kinds, z)": (lambda self, kinds, z: by_label(self, z, kinds), by_label),
    "(a, b)": (lambda self, a, b: by_label(self, b, a), by_label),
    "(z, *, y)": (lambda self, z, *, y: by_label(self, z, y), by_label),
    "(z, psi=1.0, y=None)": (lambda self, z, psi=1.0, y=None: by_label(self, z * psi, y), by_label),
    "(*inputs)": (lambda self, *inputs: self.image(inputs[0], self.table(inputs[1])), by_label),
    "a column of labels": (lambda self, z, y: self.image(z, self.table(y).squeeze(1)), by_label),
    "the first column": (lambda self, z, y: self.image(z, self.table(y)[:, 0]), by_label),
    "one-hot labels": (lambda self, z, y: self.image(z, y @ self.table.weight), by_label),
    "images of one pixel": (one_pixel, by_label),
    "one-hot labels, argmax": (
        lambda self, z, y: self.image(z.flatten(1), self.table(y.argmax(1))),
        by_label,
    ),
    "labels as numbers": (one_number, by_number),
    "a column of numbers": (lambda self, z, y: self.image(z, self.number(y)), by_number),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_recognized(name: str) -> None:
    forward, expected = SIGNATURES[name]
    module = Module(forward).eval()
    check_signature(module, "mine")
    adapted = adapt(module, "mine", NOISE_DIM, CLASSES)
    noise, label = torch.randn(5, NOISE_DIM), torch.tensor([3, 0, 1, 2, 3])
    assert torch.equal(adapted(noise, label), expected(module, noise, label))


def test_images_of_one_pixel_are_recognized() -> None:
    layer = nn.ConvTranspose2d(NOISE_DIM + CLASSES, 1, 3)
    module = Module(lambda _, z, y: torch.tanh(layer(torch.cat([z, y], 1)))).eval()
    noise, label = torch.randn(5, NOISE_DIM), torch.tensor([3, 0, 1, 2, 3])
    inputs = noise[:, :, None, None], one_hot(label, CLASSES).float()[:, :, None, None]
    assert torch.equal(adapt(module, "mine", NOISE_DIM, CLASSES)(noise, label), module(*inputs))
