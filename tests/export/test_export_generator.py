"""Modules of the user: how they are exported, and which are rejected before a file is written."""

import copy
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cgan_export import ExportError, export_generator
from cgan_runtime import ImageGenerator
from cgan_runtime.noise import standard_normal

CLASSES = ("cat", "dog", "ox")
Image = Callable[[Any, Tensor, Tensor], Any]


class Mine(nn.Module):
    """A small generator of gray images, 4 x 5 pixels in -1..1."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.label = nn.Linear(6, 20), nn.Embedding(3, 20)
        self.second: nn.Module = nn.Linear(20, 20)

    def forward(self, noise: Tensor, label: Tensor) -> Any:
        hidden = torch.relu(self.first(noise) + self.label(label))
        return torch.tanh(self.second(hidden)).view(-1, 1, 4, 5)


def with_forward(forward: Callable[..., Any]) -> nn.Module:
    module: nn.Module = type("Changed", (Mine,), {"forward": forward})()
    return module.eval()


def returning(change: Callable[[Tensor], Any]) -> nn.Module:
    """Return a module that returns a change of the image."""
    return with_forward(lambda self, noise, label: change(Mine.forward(self, noise, label)))


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., ImageGenerator]:
    def run(module: Any, **options: Any) -> ImageGenerator:
        values: dict[str, Any] = {"noise_dim": 6, "class_names": CLASSES, **options}
        export_generator(module, tmp_path / "mine.onnx", **values)
        return ImageGenerator(tmp_path / "mine.onnx", "cpu")

    return run


def pixels(module: nn.Module, labels: list[int], low: float = -1, high: float = 1) -> Any:
    noise = torch.from_numpy(standard_normal(4, 0, len(labels), 6))
    with torch.inference_mode():
        image: Tensor = module(noise=noise, label=torch.tensor(labels))
    return image.double().sub(low).mul(255 / (high - low)).round().clamp(0, 255).numpy()


def test_the_metadata_name_the_module(export: Callable[..., ImageGenerator]) -> None:
    module = Mine().eval()
    info = export(module, dataset="pets", name="my_module:generator").info
    assert (info.class_names, info.noise_dim, info.image_shape) == (CLASSES, 6, (1, 4, 5))
    assert (info.dataset, info.precision, info.bit_exact) == ("pets", "fp32", False)
    assert info.recipe == {"module": "my_module:generator"}
    assert info.verification["quality_gate"] == "not run"
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode() + tensor.numpy().tobytes())
    assert info.weights_sha256 == digest.hexdigest()


@pytest.mark.parametrize("value_range", [(0, 1), (0, 255), (-3, 0.5)])
def test_values_are_scaled_rounded_and_clipped(
    export: Callable[..., ImageGenerator], value_range: tuple[float, float]
) -> None:
    low, high = value_range
    # From slightly below the range to slightly above it.
    module = returning(lambda image: (image * 0.7 + 0.5) * (high - low) + low)
    labels = [0, 1, 2] * 9
    images = export(module, value_range=value_range).generate(labels, seed=4)
    assert np.abs(images - pixels(module, labels, low, high)).max() <= 1
    assert (images.min(), images.max()) == (0, 255)


def with_len(self: Any, noise: Tensor, label: Tensor) -> Any:
    return Mine.forward(self, noise, label).view(len(noise), 1, 4, 5)


def with_state(self: Any, noise: Tensor, label: Tensor) -> Any:
    """Makes a constant at the first call, and keeps the last image."""
    if not hasattr(self, "grid"):
        self.grid = torch.linspace(0, 1, 20).view(4, 5)
    self.last = Mine.forward(self, noise, label) * self.grid
    return self.last


@pytest.mark.parametrize("forward", [with_len, with_state])
def test_forward_may_use_len_and_attributes(
    export: Callable[..., ImageGenerator], forward: Callable[..., Any]
) -> None:
    module = with_forward(forward)
    images = export(module).generate([2, 1, 0], seed=4)
    assert np.abs(images - pixels(module, [2, 1, 0])).max() <= 1


def test_a_compiled_module_is_exported_without_compiling_it(
    export: Callable[..., ImageGenerator],
) -> None:
    module: Any = torch.compile(Mine().eval(), backend="inductor")
    assert export(module).info.image_shape == (1, 4, 5)


def test_the_export_does_not_modify_the_module(export: Callable[..., ImageGenerator]) -> None:
    module = Mine()
    nn.utils.parametrizations.weight_norm(module.first)
    module.second = nn.utils.parametrizations.spectral_norm(module.second)
    calls: list[int] = []
    module.second.register_forward_hook(lambda *_: calls.append(1))
    module.eval()
    module(torch.zeros(1, 6), torch.zeros(1).long()).sum().backward()
    before, gradients = copy.deepcopy(module), [each.grad is None for each in module.parameters()]
    torch.manual_seed(0)
    random = torch.get_rng_state()
    export(module)
    assert torch.equal(torch.get_rng_state(), random)
    assert repr(module) == repr(before)
    for (name, one), (_, other) in zip(
        module.named_parameters(), before.named_parameters(), strict=True
    ):
        assert torch.equal(one, other), name
        assert one.requires_grad
    assert [each.grad is None for each in module.parameters()] == gradients
    assert nn.utils.parametrize.is_parametrized(module.first, "weight")
    assert len(module.second._forward_hooks) == 1
    assert not any(each.training for each in module.modules())


def fails(*_: object) -> None:
    raise ValueError("the first line\nthe second line")


def branches(self: Any, noise: Tensor, label: Tensor) -> Any:
    image = Mine.forward(self, noise, label)
    return image if noise.sum() > 0 else image * 1.0001


def random_numbers(image: Tensor) -> Tensor:
    return image * torch.rand_like(image)


def depends_on_the_batch(image: Tensor) -> Tensor:
    return (image - image.mean(0)) / 2


def nan_for_one_label(self: Any, noise: Tensor, label: Tensor) -> Any:
    return Mine.forward(self, noise, label) / (label != 2).float()[:, None, None, None]


def autocast(self: Any, noise: Tensor, label: Tensor) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return Mine.forward(self, noise, label).float()


def train_second() -> nn.Module:
    module = Mine().eval()
    module.second.train()
    return module


def script_second() -> nn.Module:
    module = Mine().eval()
    module.second = torch.jit.trace(module.second, torch.ones(1, 20))
    return module


def masks(self: Any, noise: Tensor, label: Tensor) -> Any:
    image = Mine.forward(self, noise, label)
    image[label == 1] *= 0.5
    return image


def bag(self: Any, noise: Tensor, label: Tensor) -> Any:
    rows = functional.embedding_bag(label[:, None], self.label.weight)
    return torch.tanh(self.first(noise) + rows).view(-1, 1, 4, 5)


def one_input(self: Any, noise: Tensor) -> Any:
    return noise


def three_inputs(self: Any, noise: Tensor, label: Tensor, psi: float) -> Any:
    return noise


REJECTED: dict[str, tuple[Callable[[], Any], str]] = {
    "training": (Mine, "it is in training mode; call .eval()"),
    "part in training": (train_second, "its layer second is in training mode"),
    "half": (lambda: Mine().eval().half(), "the parameter first.weight of .* is torch.float16"),
    "double": (lambda: Mine().eval().double(), "is torch.float64; call .float()"),
    "meta": (lambda: Mine().eval().to("meta"), "is on the meta device"),
    "no module": (lambda: Mine, "is not an nn.Module"),
    "TorchScript": (lambda: torch.jit.trace(nn.Identity(), torch.ones(1)), "is TorchScript; give"),
    "TorchScript layer": (script_second, "its layer second is TorchScript; use the nn.Module"),
    "tuple": (lambda: returning(lambda image: (image,)), "returns a tuple; return one float32"),
    "dict": (lambda: returning(lambda image: {"image": image}), "returns a dict; return one"),
    "None": (lambda: returning(lambda _: None), "returns a NoneType; return one"),
    "flat": (lambda: returning(lambda image: image.flatten(1)), r"returns \[1, 20\] for noise"),
    "no channel": (lambda: returning(lambda image: image[:, 0]), r"returns \[1, 4, 5\] for"),
    "two channels": (lambda: returning(lambda image: image.view(-1, 2, 2, 5)), "with 1 .gray."),
    "channels last": (
        lambda: returning(lambda image: image.permute(0, 2, 3, 1)),
        r"for example image.permute\(0, 3, 1, 2\)",
    ),
    "one batch": (lambda: returning(lambda image: image[:1]), r"returns \[1, 1, 4, 5\] for noise"),
    "large": (
        lambda: returning(lambda image: image.new_zeros(len(image), 1, 512, 513)),
        "more than the largest supported size of 262,144 values; return smaller images",
    ),
    "bytes": (lambda: returning(lambda image: image.to(torch.uint8)), "returns torch.uint8 on cpu"),
    "half output": (lambda: returning(lambda image: image.half()), "returns torch.float16 on cpu"),
    "NaN": (lambda: with_forward(nan_for_one_label), "returns NaN or infinite values"),
    "0..255": (lambda: returning(lambda image: 127.5 * (image + 1)), r"outside the value_range"),
    "random": (lambda: returning(random_numbers), "it uses random numbers"),
    "few random numbers": (
        lambda: returning(lambda image: image + 1e-4 * torch.randn_like(image)),
        "needs the operator Random.*, which uses random numbers; take them from noise",
    ),
    "dropout": (
        lambda: returning(lambda image: image + 1e-4 * functional.dropout(image, training=True)),
        "uses random numbers; take them from noise",
    ),
    "batch": (lambda: returning(depends_on_the_batch), "depends on the other images of its batch"),
    "failure": (
        lambda: with_forward(fails),
        r"forward.* fails at test_export.*:\d+ for .*: ValueError: the first line the second line",
    ),
    "one input": (
        lambda: with_forward(one_input),
        r"forward\(noise\) of .* must take \(noise, label\): too many positional arguments",
    ),
    "three inputs": (
        lambda: with_forward(three_inputs),
        r"forward\(noise, label, psi\) .*: missing a required argument: 'psi'",
    ),
    "control flow": (
        lambda: with_forward(branches),
        r"cannot be traced at test_export_generator.py:\d+, `return image if .*`: its control flow",
    ),
    "mask": (lambda: with_forward(masks), r"needs the operator NonZero, which .*; use torch.where"),
    "autocast": (lambda: with_forward(autocast), "computes in bfloat16, .*without torch.autocast"),
    "bag": (lambda: with_forward(bag), "needs the operator Loop, which contains a subgraph"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_an_unsuitable_module_is_rejected_in_one_line(
    export: Callable[..., ImageGenerator], tmp_path: Path, case: str
) -> None:
    make, message = REJECTED[case]
    with pytest.raises(ExportError, match=message) as caught:
        export(make())
    assert "\n" not in str(caught.value)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_dim": 7}, r"fails at \S+ for noise \[1, 7\].* check noise_dim"),
        ({"noise_dim": 0}, "noise_dim must be a whole number from 1 to 1,048,576, got 0"),
        ({"class_names": list("abcd")}, "labels up to 3: IndexError: index out of range"),
        ({"class_names": []}, "class_names must be a sequence of names"),
        ({"class_names": "cat"}, "class_names must be a sequence of names"),
        ({"class_names": ["cat", "cat"]}, "class_names has 'cat' twice"),
        ({"class_names": [*map(str, range(10_001))]}, "class_names has 10,001 names; give at most"),
        ({"value_range": (1, 1)}, "value_range must be LOW < HIGH"),
        ({"value_range": (0, float("inf"))}, "value_range must be LOW < HIGH"),
        ({"value_range": (0, 1)}, r"outside the value_range \(0, 1\); give their range"),
        ({"precision": "int4"}, "unknown precision 'int4'"),
        ({"opset": 18}, "opset 18 is not supported"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_bad_arguments_are_rejected(
    export: Callable[..., ImageGenerator], tmp_path: Path, options: Any, message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        export(Mine().eval(), **options)
    assert not [*tmp_path.iterdir()]


def test_an_operator_that_the_runtime_lacks_is_named(
    export: Callable[..., ImageGenerator], tmp_path: Path
) -> None:
    module = returning(lambda image: torch.special.erfinv(image * 0.5))
    with pytest.raises(ExportError, match=r"cannot be converted to ONNX: .*erf_inv"):
        export(module, name="mine")
    module = returning(lambda image: torch.fft.fft(image).real / 5)
    with pytest.raises(ExportError, match="uses the operator DFT, which the model contract"):
        export(module, name="mine")
    assert not [*tmp_path.iterdir()]
