"""Untrained int8 networks of many shapes, as ONNX files without the contract's metadata."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn
from untrained_generators import untrained_generator

from cgan_export.int8.onnx_graph import export_to_int8_onnx
from cgan_export.int8.quantization import quantize
from cgan_export.targets.c import c_files
from cgan_export.targets.c.network import read_network
from cgan_export.targets.c.source import c_texts, template_values
from cgan_export.tracing.networks import RewrittenGenerator
from cgan_runtime.model_file.contract import Golden, ImageShape, ModelInfo
from cgan_runtime.model_file.reading import SHIPPED_MODEL
from cgan_runtime.noise import standard_normal
from cgan_training.recipe import ConvolutionalGeneratorSettings as Convolutional
from cgan_training.recipe import GeneratorSettings
from cgan_training.recipe import PerceptronGeneratorSettings as Perceptron

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Int8File:
    """An int8 ONNX file."""

    content: bytes
    noise_dim: int
    classes: int

    def generate(self, seed: int, start: int, count: int) -> Images:
        """Generate images with ONNX Runtime; the labels cycle through the classes."""
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
        network = read_network(self.content)
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
        values = template_values(path, network, info, "0" * 64)
        files = c_files(path, folder)
        files[-1].parent.mkdir(parents=True)
        for file, text in zip(files, c_texts(values), strict=True):
            file.write_text(text)
        return files[0]


def untrained(
    settings: GeneratorSettings, noise_dim: int, classes: int, image_shape: ImageShape
) -> Int8File:
    """Return an untrained generator with large biases and with images of a high contrast."""
    generator = untrained_generator(settings, noise_dim, classes, image_shape, contrast=6)
    module = RewrittenGenerator(generator).eval()
    layers = [each for each in module.rest if isinstance(each, nn.Linear | nn.Conv2d)]
    with torch.no_grad():
        for layer in layers:
            assert layer.bias is not None
            layer.bias += torch.empty_like(layer.bias).uniform_(-0.5, 0.5)
    content = export_to_int8_onnx(quantize(module)).SerializeToString()
    return Int8File(content, noise_dim, classes)


# Settings, length of the noise, classes, image shape
UNTRAINED: dict[str, tuple[GeneratorSettings, int, int, ImageShape]] = {
    "perceptron, 2 layers": (Perceptron((20,)), 10, 3, (1, 5, 7)),
    "perceptron, 3 layers, 1 class": (Perceptron((130, 9)), 33, 1, (1, 13, 11)),
    "perceptron, 4 layers": (Perceptron((40, 257, 7)), 100, 10, (1, 28, 28)),
    "perceptron, 5 layers, 1 pixel": (Perceptron((9, 8, 7, 6)), 1, 2, (1, 1, 1)),
    "perceptron, RGB": (Perceptron((24, 31)), 17, 5, (3, 6, 9)),
    "convolutional": (Convolutional(12, 5), 6, 4, (1, 8, 12)),
    "convolutional, 1 cell": (Convolutional(9, 4), 16, 1, (1, 4, 4)),
    "convolutional, RGB": (Convolutional(14, 8), 20, 3, (3, 12, 8)),
    "convolutional, RGB, 8 x 64": (Convolutional(10, 3), 64, 2, (3, 8, 64)),
    "convolutional, doubled": (Convolutional(10, 6, 2, (5,)), 9, 3, (1, 12, 8)),
    "convolutional, doubled twice, cropped, RGB": (
        Convolutional(10, 6, 2, (5, 4)),
        9,
        4,
        (3, 13, 11),
    ),
}
NETWORKS = ["shipped", *UNTRAINED]


@cache
def make_network(kind: str) -> Int8File:
    """Return one of NETWORKS."""
    if kind == "shipped":
        return Int8File(SHIPPED_MODEL.read_bytes(), noise_dim=64, classes=10)
    return untrained(*UNTRAINED[kind])
