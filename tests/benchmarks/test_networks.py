"""The networks and the evaluation classifier that the benchmarks use."""

import os
from pathlib import Path

import harness
import numpy as np
import pytest
import torch
from networks import ImageBytes, load_networks

from cgan_runtime import ImageGenerator
from cgan_runtime.noise import standard_normal
from cgan_training.data import load_dataset
from cgan_training.evaluation.classifier import classifier_file_name


def test_the_networks_are_the_classic_and_the_shipped_one() -> None:
    networks = load_networks()
    shapes = [weight.shape for weight, _ in networks["classic"].layers]
    assert shapes == [(256, 110), (512, 256), (1024, 512), (784, 1024)]
    shipped = networks["shipped"]
    label = torch.arange(200) % 10
    noise = torch.from_numpy(standard_normal(5, 0, len(label), shipped.generator.noise_dim))
    images = ImageBytes(shipped.generator)(noise, label).numpy().astype(int)
    with ImageGenerator(provider="cpu") as generator:
        expected = generator.generate(label.tolist(), seed=5)
    assert np.abs(images - expected).mean() < 1
    assert (
        np.abs(images - expected).max() < 72
    )  # int8 rounds activations; errors are largest at edges of strokes


@pytest.mark.skipif("CGAN_DATA_DIR" not in os.environ, reason="needs the real MNIST files")
def test_the_evaluation_classifier_of_mnist_is_committed() -> None:
    train = load_dataset("mnist", Path(os.environ["CGAN_DATA_DIR"]))[0]
    name = classifier_file_name(train)
    assert (harness.MODELS / name).exists()
