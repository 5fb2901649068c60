"""The valid files from which the mutants are made."""

import atexit
import dataclasses
import shutil
import tempfile
from pathlib import Path


def create_valid_files(target: str) -> Path:
    """Create a temporary folder of models for the target "onnx", or of runs for the others."""
    folder = Path(tempfile.mkdtemp(prefix="valid-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if target == "onnx":
        _export_models(folder)
    else:
        _train_runs(folder)
    return folder


def _export_models(folder: Path) -> None:
    """Copy the shipped model and export each kind of generator in each precision."""
    from user_networks import CLASSES, NETWORKS, NOISE_DIM, VALUE_RANGES, network

    from cgan_export import export_generator, export_model
    from cgan_runtime.model_file.reading import SHIPPED_MODEL

    names = [str(label) for label in range(CLASSES)]
    for index, name in enumerate(NETWORKS):
        export_generator(
            network(name),
            folder / f"{name.lower()}.onnx",
            noise_dim=NOISE_DIM,
            class_names=names,
            value_range=VALUE_RANGES.get(name, (-1, 1)),
            opset=19 + index % 3,
        )

    shutil.copy(SHIPPED_MODEL, folder)
    _train_runs(folder / "runs")
    for model in sorted(folder.glob("runs/*/model.pt")):
        for opset, precision in ((19, "fp32"), (20, "fp16"), (21, "int8")):
            path = folder / f"{model.parent.name}-{precision}.onnx"
            export_model(model, path, precision=precision, opset=opset)


def _train_runs(folder: Path) -> None:
    """Train one tiny run per kind of generator."""
    import torch

    from cgan_training.data import load_dataset
    from cgan_training.recipe import (
        ConvolutionalGeneratorSettings,
        PerceptronDiscriminatorSettings,
        PerceptronGeneratorSettings,
        load_recipe,
    )
    from cgan_training.run import RunOptions, train

    torch.set_num_threads(1)
    dataset = load_dataset("optdigits", Path("nowhere"))[0]
    options = RunOptions(dataset_argument="optdigits", data_dir="nowhere")
    recipe = dataclasses.replace(
        load_recipe("classic"),
        noise_dim=6,
        epochs=1,
        min_images_per_epoch=400,
        generator=PerceptronGeneratorSettings(hidden=(8, 6)),
        discriminator=PerceptronDiscriminatorSettings(hidden=(12,), negative_slope=0.2),
    )
    train(recipe, dataset, folder / "perceptron", device=torch.device("cpu"), options=options)
    generator = ConvolutionalGeneratorSettings(hidden=6, channels=3, convolutions=1)
    recipe = dataclasses.replace(recipe, noise_dim=5, ema_decay=0.9, generator=generator)
    train(recipe, dataset, folder / "convolutional", device=torch.device("cpu"), options=options)
