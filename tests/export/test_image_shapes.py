"""Gray and color generators of several sizes, from model.pt to ONNX files and C."""

from pathlib import Path

import numpy as np
import pytest
import torch
from untrained_generators import untrained_generator

from cgan_export import export_model
from cgan_export.int8 import quantization
from cgan_export.source.generator_source import source_of_model
from cgan_export.targets.c.source import write_c
from cgan_export.tracing.networks import RewrittenGenerator
from cgan_export.verification.verify import generate_with_torch
from cgan_runtime import ImageGenerator
from cgan_runtime.model_file.contract import ImageShape
from cgan_training.model_file import Model, save_model
from cgan_training.networks import Generator
from cgan_training.recipe import (
    ConvolutionalGeneratorSettings,
    GeneratorSettings,
    PerceptronGeneratorSettings,
)

CONVOLUTIONAL = ConvolutionalGeneratorSettings(12, 5)
# A grid of 32 x 24 pixels, which is cropped.
FINER = ConvolutionalGeneratorSettings(12, 5, convolutions=0, finer_channels=(4,))


def model_of(settings: GeneratorSettings, image_shape: ImageShape) -> Model:
    """Return an untrained model whose images have a high contrast."""
    return Model(
        generator=untrained_generator(settings, 6, 3, image_shape, contrast=1.5),
        class_names=("red", "green", "blue"),
        dataset="none",
        recipe={"name": "untrained"},
        training={"epochs": 0, "versions": {}},
    )


@pytest.mark.parametrize(
    ("settings", "image_shape"),
    [
        (PerceptronGeneratorSettings((24,), conditional=False), (1, 9, 31)),
        (CONVOLUTIONAL, (3, 8, 64)),
        (FINER, (3, 28, 20)),
    ],
    ids=str,
)
def test_files_generate_the_images_of_the_network(
    settings: GeneratorSettings, image_shape: ImageShape, tmp_path: Path
) -> None:
    model = model_of(settings, image_shape)
    save_model(model, tmp_path / "model.pt")
    labels = [0, 1, 2, 2, 0]
    expected = generate_with_torch(source_of_model(model), labels, seed=9, start=3).astype(int)
    assert expected.shape == (len(labels), *image_shape)
    assert expected.std() > 5
    for precision, max_error in (("fp32", 1), ("int8", 40)):
        path = tmp_path / f"{precision}.onnx"
        export_model(tmp_path / "model.pt", path, precision=precision)
        with ImageGenerator(path, "cpu") as generator:
            assert generator.info.image_shape == image_shape
            assert generator.info.bit_exact == (precision == "int8")
            images = generator.generate(labels, seed=9, start=3)
            assert np.abs(images - expected).max() <= max_error
    write_c(tmp_path / "int8.onnx", tmp_path / "c")  # compares 500 images
    header = (tmp_path / "c" / "int8.h").read_text()
    assert f"#define INT8_CHANNELS {image_shape[0]}\n" in header


def test_large_images_are_calibrated_with_fewer_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """The activations of fewer images fit into memory."""
    generator = model_of(CONVOLUTIONAL, (3, 16, 16)).generator
    assert isinstance(generator, Generator)
    module = RewrittenGenerator(generator).eval()
    monkeypatch.setattr(quantization, "MAX_CALIBRATION_VALUES", 16 * 16 * 3 * 50)
    counts = []

    def record(module: RewrittenGenerator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        counts.append(count)
        return original(module, count)

    original = quantization.noise_and_labels
    monkeypatch.setattr(quantization, "noise_and_labels", record)
    quantized = quantization.quantize(module)
    assert counts == [1, 50]
    assert quantized.generate(*original(module, 2)).shape == (2, 3, 16, 16)
