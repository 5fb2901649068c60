"""A failed verification names the node or pass at which the values first diverge."""

import copy
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import model_graphs
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from cgan_export import export, export_generator
from cgan_export.errors import VerificationError
from cgan_export.int8.static import quantize_statically
from cgan_export.passes.fold_batchnorm import fold_batch_norm
from cgan_export.passes.fp16 import store_weights_as_fp16
from cgan_export.passes.label_table import split_first_layer
from cgan_export.source.generator_source import GeneratorSource, source_of_model
from cgan_export.source.module_source import source_of_module
from cgan_export.tracing import networks
from cgan_export.tracing.networks import traceable_generator
from cgan_export.tracing.trace import export_to_onnx
from cgan_export.verification import divergence
from cgan_export.verification.divergence import DivergenceSearch
from cgan_export.verification.verify import generate_with_torch
from cgan_training.model_file import load_model

Change = Callable[[NDArray[Any]], NDArray[Any]]
LABELS = [0, 1, 2, 1]


class Mine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.table = nn.Linear(6, 64), nn.Embedding(3, 64)
        self.norm, self.conv = nn.BatchNorm2d(4), nn.Conv2d(1, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        features = (self.layer(noise) + self.table(label)).view(-1, 1, 8, 8)
        features = nn.functional.gelu(self.norm(self.conv(features)))
        return torch.tanh(self.last(features))


@pytest.fixture(scope="module")
def mine() -> GeneratorSource:
    torch.manual_seed(0)
    return source_of_module(Mine().eval(), name="mine", noise_dim=6, class_names=["a", "b", "c"])


@pytest.fixture(scope="module")
def traced(mine: GeneratorSource) -> onnx.ModelProto:
    return export_to_onnx(traceable_generator(mine))


def with_initializer(graph: onnx.ModelProto, name: str, change: Change) -> onnx.ModelProto:
    """Return a copy of the graph in which one constant is changed."""
    model = copy.deepcopy(graph)
    tensor = model_graphs.tensor(model, name)
    values = change(numpy_helper.to_array(tensor))
    tensor.CopyFrom(numpy_helper.from_array(values.copy(), name))
    return model


def search(source: GeneratorSource, graph: onnx.ModelProto, precision: str = "fp32") -> str:
    unused: Any = None
    network = traceable_generator(source)
    return DivergenceSearch(source, network, graph, precision, unused).describe(LABELS, 7)


@pytest.mark.parametrize(
    ("tensor", "change", "where"),
    [
        ("generator.layer.bias", lambda it: it + 1, "linear (Gemm with generator.layer.weight)"),
        ("generator.table.weight", lambda it: it[::-1], "embedding (Gather with generator.table"),
        ("generator.conv.weight", lambda it: it * 1.5, "getitem (Conv with generator.conv.weight)"),
        ("generator.last.weight", lambda it: it * np.nan, "conv2d_1 (Conv with generator.last.we"),
        ("image_scale", lambda it: it * 2, "image (QuantizeLinear)"),
    ],
)
def test_the_first_node_that_differs_from_pytorch_is_named(
    mine: GeneratorSource, traced: onnx.ModelProto, tensor: str, change: Change, where: str
) -> None:
    text = search(mine, with_initializer(traced, tensor, change))
    assert text.startswith(f": the values first diverge at the node {where}")


@pytest.mark.parametrize(
    ("precision", "tensor"),
    [("fp16", "generator.conv.weight_fp16"), ("int8", "generator.conv.weight_scale")],
)
def test_a_pass_to_another_precision_is_named_with_its_node(
    mine: GeneratorSource, traced: onnx.ModelProto, precision: str, tensor: str
) -> None:
    graph = copy.deepcopy(traced)
    exact = (
        store_weights_as_fp16(graph) if precision == "fp16" else quantize_statically(graph, mine)
    )
    text = search(mine, with_initializer(exact, tensor, lambda it: it * 4), precision)
    assert text.startswith(f": the values first diverge in the pass to {precision}, at the node ge")


def fold_wrongly(layers: nn.Sequential) -> Any:
    folded: Any = fold_batch_norm(layers)
    folded[0].bias.data += 1
    return folded


def split_wrongly(layer: nn.Module, noise_dim: int, classes: int) -> Any:
    parts: Any = split_first_layer(layer, noise_dim, classes)
    return parts[0], parts[1].flip(0)


@pytest.mark.parametrize(
    ("name", "modules", "function", "replacement"),
    [
        ("fold_batchnorm", [networks, divergence], "fold_batch_norm", fold_wrongly),
        ("label_table", [networks], "split_first_layer", split_wrongly),
        ("sigmoid_head", [networks], "double_last_layer", lambda _: True),
    ],
)
def test_the_pass_before_the_trace_that_changes_the_images_is_named(
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    modules: list[ModuleType],
    function: str,
    replacement: Callable[..., Any],
) -> None:
    for module in modules:
        monkeypatch.setattr(module, function, replacement)
    source = source_of_model(load_model(run_dir))
    assert search(source, onnx.ModelProto()) == f": the values first diverge in the pass {name}"


@pytest.mark.parametrize(
    ("error", "text"), [(2, ": the values first diverge in ONNX Runtime's optimizations"), (0, "")]
)
def test_equal_nodes_leave_the_optimizations_or_nothing(
    mine: GeneratorSource, traced: onnx.ModelProto, error: int, text: str
) -> None:
    def generate(labels: list[int], *, seed: int, start: int) -> NDArray[np.uint8]:
        images = generate_with_torch(mine, labels, seed, start)
        return np.where(images > 127, images - error, images + error).astype(np.uint8)

    exported: Any = SimpleNamespace(generate=generate)
    network = traceable_generator(mine)
    done = DivergenceSearch(mine, network, traced, "fp32", exported)
    assert done.describe(LABELS, 0) == text


def test_a_failed_search_is_silent(mine: GeneratorSource) -> None:
    assert search(mine, onnx.ModelProto()) == ""


def test_a_failed_export_names_the_node(
    mine: GeneratorSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_wrongly(network: Any, opset: int) -> onnx.ModelProto:
        graph = export_to_onnx(network, opset)
        return with_initializer(graph, "generator.conv.weight", lambda it: it * 1.5)

    monkeypatch.setattr(export, "export_to_onnx", export_wrongly)
    message = (
        r"label 0 at batch size 1 is \d+, more than the maximum of 1, so nothing was written: the "
        r"values first diverge at the node getitem \(Conv with generator\.conv\.weight\); the"
    )
    with pytest.raises(VerificationError, match=message):
        export_generator(
            mine.generator, tmp_path / "a.onnx", noise_dim=6, class_names=mine.class_names
        )
    assert list(tmp_path.iterdir()) == []
