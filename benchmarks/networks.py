"""The two networks that the benchmarks run: the classic one, and the one that ships.

`models/seed.pt` holds the classic recipe after 200 epochs, its weights rounded to float16, so that
nobody trains for an hour to time it. It was made by

    cgan-train --recipe seed --dataset mnist --threads 1 --run-dir runs/seed
    python benchmarks/networks.py runs/seed

The network that ships is what the runtime's own digits.onnx holds, its integers turned back to
floats: what other runtimes are given is the same network, and follows it when it changes.
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
from cgan_runtime.cli import conventions
from cgan_runtime.generator import SHIPPED_MODEL
from cgan_runtime.model_file.contract import LABEL
from cgan_training.model_file import Model, load_model, save_model
from cgan_training.networks import Generator, to_uint8
from cgan_training.networks.perceptron import PerceptronGenerator

SEED_MODEL = harness.MODELS / "seed.pt"


@dataclass(frozen=True)
class Network:
    """A generator of linear layers with ReLU between them and tanh at the end."""

    name: str
    model: Model
    shipped: Path | None  # the int8 file, where it is given and not to be exported

    @property
    def generator(self) -> Generator:
        """In eval mode, float32."""
        return self.model.generator

    @cached_property
    def layers(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Weights [outputs, inputs] and biases [outputs].

        The first layer's inputs are [noise; one-hot label].
        """
        linear = [
            layer
            for layer in fold_batch_norm(self.generator.layers)
            if isinstance(layer, nn.Linear)
        ]
        return [(each.weight.detach().numpy(), each.bias.detach().numpy()) for each in linear]

    @property
    def multiplications(self) -> int:
        """An image."""
        return sum(weight.size for weight, _ in self.layers)


class Bytes(nn.Module):
    """What a user would export or compile: noise and label in, bytes out."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Return uint8 [batch, 1, height, width]."""
        return to_uint8(self.generator(noise, label))


def load_networks() -> dict[str, Network]:
    """Return both, by name."""
    return {
        "seed": Network("seed", _widened(SEED_MODEL), None),
        "shipped": Network("shipped", _shipped(SHIPPED_MODEL), SHIPPED_MODEL),
    }


def _widened(path: Path) -> Model:
    """Read a model whose weights are kept in float16."""
    content: dict[str, Any] = torch.load(path, weights_only=True)
    content["weights"] = {name: value.float() for name, value in content["weights"].items()}
    with tempfile.TemporaryDirectory() as folder:
        torch.save(content, Path(folder) / "model.pt")
        return load_model(Path(folder))


@contextmanager
def model_file(network: Network) -> Iterator[Path]:
    """Give a model.pt of the network, as cgan-export reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        save_model(network.model, path)
        yield path


def _shipped(path: Path) -> Model:
    """Read an int8 file of linear layers back into a network of floats."""
    graph = _Graph(onnx.load(path))
    metadata = {each.key: each.value for each in graph.model.metadata_props}
    nodes = graph.model.graph.node
    (first,) = (node for node in nodes if node.op_type == "Gemm")
    (lookup,) = (node for node in nodes if LABEL in node.input)
    noise_weight, table = graph.value(first.input[1]), graph.value(lookup.input[0])
    # Units that no noise moves are constants; cgan-export makes biases of them.
    still = ~noise_weight.any(axis=0)
    values = table[0, still]
    layers = [(np.concatenate([noise_weight, table])[:, ~still].T, np.zeros((~still).sum()))]
    products = [node for node in nodes if node.op_type == "MatMul"]
    for node in products:
        widened = graph.makers[node.input[0]]
        step, weight = float(graph.value(widened.input[1])), graph.value(node.input[1])
        constants = np.clip(np.rint(values / step), 0, 255) * step
        weight, bias = weight[~still], constants @ weight[still]
        still = ~weight.any(axis=0) & (node is not products[-1])
        values = bias[still]
        layers.append((weight[:, ~still].T, bias[~still]))
    weight, bias = layers[-1]
    layers[-1] = weight / 2, bias / 2  # the file's sigmoid(2 x) is tanh(x) again
    hidden = tuple(len(bias) for _, bias in layers[:-1])
    shape = graph.model.graph.output[0].type.tensor_type.shape.dim
    height, width = (dim.dim_value for dim in shape[2:])
    generator = Generator(
        PerceptronGenerator(hidden), len(noise_weight), len(table), height, width
    ).eval()
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


class _Graph:
    """Values of an ONNX graph that depend on no input."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.constants = {
            each.name: numpy_helper.to_array(each) for each in model.graph.initializer
        }
        self.makers = {each.output[0]: each for each in model.graph.node}

    def value(self, name: str) -> NDArray[np.float32]:
        """Work a float32 tensor out: an initializer, widened or scaled."""
        if name in self.constants:
            return self.constants[name]
        node = self.makers[name]
        inputs = [self.value(each) for each in node.input]
        if node.op_type == "Cast":
            return inputs[0].astype(np.float32)
        if node.op_type == "DequantizeLinear":  # [inputs, outputs], symmetric, a scale an output
            return inputs[0].astype(np.float32) * inputs[1]
        raise ValueError(f"{name} is made by {node.op_type}; the benchmarks know no such layer")


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True))
def main(run_dir: Path) -> None:
    """Keep the model of RUN_DIR as models/seed.pt, in half its bytes."""
    content: dict[str, Any] = torch.load(run_dir / "model.pt", weights_only=True)
    content["weights"] = {name: value.half() for name, value in content["weights"].items()}
    SEED_MODEL.parent.mkdir(exist_ok=True)
    torch.save(content, SEED_MODEL)


if __name__ == "__main__":
    conventions.run(main)
