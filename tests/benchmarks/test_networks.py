"""What the benchmarks run is what is claimed."""

import numpy as np
import pytest
import torch
from networks import Bytes, Network, load_networks

from cgan_runtime import ImageGenerator
from cgan_runtime.noise import standard_normal


@pytest.fixture(scope="module")
def networks() -> dict[str, Network]:
    return load_networks()


def test_the_seed_network_is_the_classic_one(networks: dict[str, Network]) -> None:
    shapes = [weight.shape for weight, _ in networks["seed"].layers]
    assert shapes == [(256, 110), (512, 256), (1024, 512), (784, 1024)]
    assert networks["seed"].multiplications == 1_486_336


def test_the_shipped_network_is_what_the_file_holds(networks: dict[str, Network]) -> None:
    network = networks["shipped"]
    label = torch.arange(200) % 10
    noise = torch.from_numpy(standard_normal(5, 0, len(label), network.generator.noise_dim))
    drawn = Bytes(network.generator)(noise, label).numpy().astype(int)
    with ImageGenerator(provider="cpu") as generator:
        shipped = generator.generate(label.tolist(), seed=5)
    assert drawn.std() > 10
    assert np.abs(drawn - shipped).mean() < 1
    assert np.abs(drawn - shipped).max() < 72  # a rounded activation more or less, at an edge
