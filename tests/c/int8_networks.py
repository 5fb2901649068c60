"""Untrained int8 networks of many shapes, as files that need no model contract."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import nn

from cgan_export.int8.onnx_graph import export_to_int8_onnx
from cgan_export.int8.quantization import quantize
from cgan_export.targets.c import c_files
from cgan_export.targets.c.network import read_network
from cgan_export.targets.c.source import c_texts
from cgan_export.tracing.networks import ContractGenerator
from cgan_runtime.generator import SHIPPED_MODEL
from cgan_runtime.model_file.contract import Golden, ModelInfo
from cgan_runtime.noise import standard_normal
from cgan_training.engine.batch_norm import calibrate_batch_norm
from cgan_training.networks import build_generator
from cgan_training.recipe import ConvolutionalGenerator, PerceptronGenerator

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Network:
    """An int8 ONNX file."""

    content: bytes
    noise_dim: int
    classes: int

    def generate(self, seed: int, start: int, count: int) -> Images:
        """Generate images with ONNX Runtime; the labels are 0, 1, ..., and 0 again."""
        session = onnxruntime.InferenceSession(self.content, providers=["CPUExecutionProvider"])
        label = np.arange(count) % self.classes
        parts = []
        for done in range(0, count, 1000):
            noise = standard_normal(seed, start + done, min(1000, count - done), self.noise_dim)
            feeds = {"noise": noise, "label": label[done : done + 1000]}
            parts.append(session.run(None, feeds)[0])
        return np.concatenate(parts)

    def write_c(self, folder: Path) -> Path:
        """Write net.c and its companions to a folder; return net.c."""
        network = read_network(self.content, "net.onnx")
        golden = self.generate(2014, 0, self.classes)
        info = ModelInfo(
            class_names=tuple(map(str, range(self.classes))),
            noise_dim=self.noise_dim,
            image_shape=(golden.shape[1], golden.shape[2], golden.shape[3]),
            dataset="none",
            precision="int8",
            weights_sha256="",
            recipe={"name": "untrained"},
            training={},
            versions={},
            quality={},
            verification={},
            golden=Golden(2014, tuple(range(self.classes)), golden.tobytes()),
            bit_exact=True,
        )
        path = Path("net.onnx")
        files = c_files(path, folder)
        files[-1].parent.mkdir(parents=True)
        for file, text in zip(files, c_texts(path, network, info, "0" * 64), strict=True):
            file.write_text(text)
        return files[0]


def shipped() -> Network:
    return Network(SHIPPED_MODEL.read_bytes(), 64, 10)


def perceptron(
    hidden: tuple[int, ...],
    noise_dim: int,
    classes: int,
    height: int,
    width: int,
    channels: int = 1,
) -> Network:
    """Return a perceptron. With several channels, the image is cut into planes."""
    settings = PerceptronGenerator(hidden)
    module = _contrasted(settings, noise_dim, classes, height * channels, width)
    model = export_to_int8_onnx(quantize(module))
    if channels > 1:
        _replace_constant(model, "shape_", [-1, channels, height, width])
        _set_channels(model, channels, height)
    return Network(model.SerializeToString(), noise_dim, classes)


def convolutional(
    settings: ConvolutionalGenerator,
    noise_dim: int,
    classes: int,
    height: int,
    width: int,
    channels: int = 1,
) -> Network:
    """Return a convolutional network, whose last layer gets more outputs for several channels."""
    module = _contrasted(settings, noise_dim, classes, height, width)
    if channels > 1:
        at = [i for i, each in enumerate(module.rest) if isinstance(each, nn.Conv2d)][-1]
        old = module.rest[at]
        assert isinstance(old, nn.Conv2d)
        new = nn.Conv2d(old.in_channels, 16 * channels, 3, padding=1)
        with torch.no_grad():
            new.weight *= 12
        module.rest[at] = new
    model = export_to_int8_onnx(quantize(module))
    if channels > 1:
        _replace_constant(model, "shape_-1_4", [-1, channels, 4, 4, height // 4, width // 4])
        _replace_constant(model, "shape_-1_1_", [-1, channels, height, width])
        (transpose,) = (each for each in model.graph.node if each.op_type == "Transpose")
        transpose.attribute[0].CopyFrom(helper.make_attribute("perm", [0, 1, 4, 2, 5, 3]))
        _set_channels(model, channels, height)
    return Network(model.SerializeToString(), noise_dim, classes)


def _contrasted(
    settings: PerceptronGenerator | ConvolutionalGenerator,
    noise_dim: int,
    classes: int,
    height: int,
    width: int,
) -> ContractGenerator:
    """Return an untrained generator with large biases and with images of a high contrast."""
    torch.manual_seed(0)
    generator = build_generator(settings, noise_dim, classes, (1, height, width))
    calibrate_batch_norm(generator, seed=1)
    module = ContractGenerator(generator).eval()
    layers = [each for each in module.rest if isinstance(each, nn.Linear | nn.Conv2d)]
    with torch.no_grad():
        for layer in layers:
            assert layer.bias is not None
            layer.bias += torch.empty_like(layer.bias).uniform_(-0.5, 0.5)
        layers[-1].weight *= 6
    return module


def _replace_constant(model: onnx.ModelProto, prefix: str, values: list[int]) -> None:
    (constant,) = (each for each in model.graph.initializer if each.name.startswith(prefix))
    constant.CopyFrom(numpy_helper.from_array(np.array(values, np.int64), constant.name))


def _set_channels(model: onnx.ModelProto, channels: int, height: int) -> None:
    axes = model.graph.output[0].type.tensor_type.shape.dim
    axes[1].dim_value, axes[2].dim_value = channels, height


NETWORKS: dict[str, Callable[[], Network]] = {
    "shipped": shipped,
    "perceptron, 2 layers": lambda: perceptron((20,), 10, 3, 5, 7),
    "perceptron, 3 layers, 1 class": lambda: perceptron((130, 9), 33, 1, 13, 11),
    "perceptron, 4 layers": lambda: perceptron((40, 257, 7), 100, 10, 28, 28),
    "perceptron, 5 layers, 1 pixel": lambda: perceptron((9, 8, 7, 6), 1, 2, 1, 1),
    "perceptron, RGB": lambda: perceptron((24, 31), 17, 5, 6, 9, channels=3),
    "convolutional": lambda: convolutional(ConvolutionalGenerator(12, 5), 6, 4, 8, 12),
    "convolutional, 1 cell": lambda: convolutional(ConvolutionalGenerator(9, 4), 16, 1, 4, 4),
    "convolutional, RGB": lambda: convolutional(ConvolutionalGenerator(14, 8), 20, 3, 12, 8, 3),
}


@cache
def make_network(kind: str) -> Network:
    """Return one of NETWORKS."""
    return NETWORKS[kind]()
