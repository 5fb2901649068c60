"""The two networks that the benchmarks run: the classic one, and the shipped one.

`models/classic.pt` is a model of the classic recipe after 200 epochs, so that its speed can be
measured without an hour of training. Its weights are rounded to float16 to halve the file. These
commands made it:

    cgan-train --recipe classic --dataset mnist --threads 1 --run-dir runs/classic
    python benchmarks/networks.py runs/classic

The shipped network is read from the runtime's own digits.onnx, with its integers converted back to
floats. Other runtimes therefore run the same network, even after a new model is shipped.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import harness
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from cgan_export.passes.fold_batchnorm import fold_batch_norm
from cgan_runtime.cli import runner
from cgan_runtime.model_file.contract import LABEL
from cgan_runtime.model_file.reading import SHIPPED_MODEL
from cgan_training.model_file import Model, load_model, save_model
from cgan_training.networks import Generator, build_generator, to_uint8
from cgan_training.recipe import PerceptronGeneratorSettings

CLASSIC_MODEL = harness.MODELS / "classic.pt"


@dataclass(frozen=True)
class Network:
    """A generator of linear layers with ReLU between them and tanh at the end."""

    name: str
    model: Model
    int8_file: Path | None  # an existing int8 file to measure, or None to export one

    @property
    def generator(self) -> Generator:
        """The generator in eval mode, float32."""
        return self.model.generator

    @cached_property
    def layers(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """The weights [outputs, inputs] and biases [outputs] of all layers.

        The inputs of the first layer are [noise; one-hot label].
        """
        linear = [
            layer
            for layer in fold_batch_norm(self.generator.layers)
            if isinstance(layer, nn.Linear)
        ]
        return [(each.weight.detach().numpy(), each.bias.detach().numpy()) for each in linear]

    @property
    def multiplications(self) -> int:
        """The number of multiplications per image."""
        return sum(weight.size for weight, _ in self.layers)


class ImageBytes(nn.Module):
    """The module that a user would export or compile: from noise and label to uint8 images."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return uint8 [batch, 1, height, width]."""
        return to_uint8(self.generator(noise, label))


def load_networks() -> dict[str, Network]:
    """Return both networks by name."""
    return {
        "classic": Network("classic", _load_float16(CLASSIC_MODEL), None),
        "shipped": Network("shipped", _load_int8(SHIPPED_MODEL), SHIPPED_MODEL),
    }


def _load_float16(path: Path) -> Model:
    """Load a model whose weights are stored as float16."""
    content: dict[str, Any] = torch.load(path, weights_only=True)
    content["weights"] = {name: value.float() for name, value in content["weights"].items()}
    with tempfile.TemporaryDirectory() as folder:
        torch.save(content, Path(folder) / "model.pt")
        return load_model(Path(folder))


@contextmanager
def model_file(network: Network) -> Iterator[Path]:
    """Write a temporary model.pt of the network, as input for cgan-export."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        save_model(network.model, path)
        yield path


def _load_int8(path: Path) -> Model:
    """Convert an int8 file of linear layers back to a float network."""
    graph = _ConstantGraph(onnx.load(path))
    metadata = {each.key: each.value for each in graph.model.metadata_props}
    nodes = graph.model.graph.node
    (first,) = (node for node in nodes if node.op_type == "Gemm")
    (lookup,) = (node for node in nodes if LABEL in node.input)
    noise_weight, table = graph.value(first.input[1]), graph.value(lookup.input[0])
    # Neurons that do not depend on the noise are constant. Their values move into the next biases.
    constant = ~noise_weight.any(axis=0)
    values = table[0, constant]
    layers = [(np.concatenate([noise_weight, table])[:, ~constant].T, np.zeros((~constant).sum()))]
    matmuls = [node for node in nodes if node.op_type == "MatMul"]
    for node in matmuls:
        dequantized = graph.producers[node.input[0]]
        scale, weight = float(graph.value(dequantized.input[1])), graph.value(node.input[1])
        activations = np.clip(np.rint(values / scale), 0, 255) * scale
        bias = activations @ weight[constant]
        weight = weight[~constant]
        constant = ~weight.any(axis=0) & (node is not matmuls[-1])
        values = bias[constant]
        layers.append((weight[:, ~constant].T, bias[~constant]))
    weight, bias = layers[-1]
    layers[-1] = weight / 2, bias / 2  # the file has sigmoid(2 x) in place of tanh(x)
    hidden = tuple(len(bias) for _, bias in layers[:-1])
    shape = graph.model.graph.output[0].type.tensor_type.shape.dim
    channels, height, width = (dim.dim_value for dim in shape[1:])
    settings = PerceptronGeneratorSettings(hidden)
    image_shape = channels, height, width
    generator = build_generator(settings, len(noise_weight), len(table), image_shape).eval()
    linear = [layer for layer in generator.layers if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer, (weight, bias) in zip(linear, layers, strict=True):
            layer.weight.copy_(torch.from_numpy(weight.copy()))
            layer.bias.copy_(torch.from_numpy(bias.copy()))
    return Model(
        generator=generator.requires_grad_(False),
        class_names=tuple(str(number) for number in range(len(table))),
        dataset=metadata["cgan.dataset"],
        recipe={"name": "shipped"},
        training={"versions": {}},
    )


class _ConstantGraph:
    """An ONNX graph whose constant tensors can be evaluated."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.constants = {
            each.name: numpy_helper.to_array(each) for each in model.graph.initializer
        }
        self.producers = {each.output[0]: each for each in model.graph.node}

    def value(self, name: str) -> NDArray[np.float32]:
        """Return a constant float32 tensor: an initializer, possibly cast or dequantized."""
        if name in self.constants:
            return self.constants[name]
        node = self.producers[name]
        inputs = [self.value(each) for each in node.input]
        if node.op_type == "Cast":
            return inputs[0].astype(np.float32)
        if node.op_type == "DequantizeLinear":  # [inputs, outputs], symmetric, a scale per output
            return inputs[0].astype(np.float32) * inputs[1]
        raise ValueError(f"{name} is made by {node.op_type}, which the benchmarks do not support")


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True))
def main(run_dir: Path) -> None:
    """Store the model of RUN_DIR as models/classic.pt, with float16 weights."""
    content: dict[str, Any] = torch.load(run_dir / "model.pt", weights_only=True)
    content["weights"] = {name: value.half() for name, value in content["weights"].items()}
    CLASSIC_MODEL.parent.mkdir(exist_ok=True)
    torch.save(content, CLASSIC_MODEL)


if __name__ == "__main__":
    runner.run(main)
