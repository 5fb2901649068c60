"""Exported files of every precision, for both kinds of generator."""

from pathlib import Path

import pytest
from untrained_generators import untrained_generator

from cgan_export import export_model
from cgan_training.model_file import Model, save_model
from cgan_training.networks import Generator
from cgan_training.recipe import ConvolutionalGeneratorSettings

PRECISIONS = ("fp32", "fp16", "int8")


@pytest.fixture(scope="session")
def convolutional_generator() -> Generator:
    """An untrained generator with odd sizes, whose images have a high contrast."""
    return untrained_generator(ConvolutionalGeneratorSettings(12, 5), 6, 4, (1, 8, 12), contrast=6)


@pytest.fixture(scope="session")
def convolutional_model(
    convolutional_generator: Generator, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("convolutional") / "model.pt"
    model = Model(
        generator=convolutional_generator,
        class_names=tuple("abcd"),
        dataset="none",
        recipe={"name": "untrained"},
        training={"epochs": 0, "versions": {}},
    )
    save_model(model, path)
    return path


@pytest.fixture(scope="session")
def exported(
    run_dir: Path, convolutional_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Path]:
    """Exported files by kind of generator ("perceptron", "convolutional") and precision."""
    folder = tmp_path_factory.mktemp("exported")
    files = {}
    for kind, model in (("perceptron", run_dir), ("convolutional", convolutional_model)):
        for precision in PRECISIONS:
            files[kind, precision] = folder / f"{kind}-{precision}.onnx"
            export_model(model, files[kind, precision], precision=precision)
    return files
