"""Generators of other projects, exported as they are."""

from pathlib import Path

import numpy as np
import other_generators
import pytest
import torch

from cgan_export.export import export_source
from cgan_export.source.module_source import source_of_module
from cgan_runtime import ImageGenerator
from cgan_runtime.noise import standard_normal

NAMES = [str(label) for label in range(other_generators.CLASSES)]
# The largest accepted max and mean pixel errors.
ERRORS = {"fp32": (1, 0.01), "fp16": (1, 0.05), "int8": (60, 4.0)}


@pytest.mark.parametrize("name", other_generators.NETWORKS)
def test_a_network_of_another_project_is_exported_as_it_is(name: str, tmp_path: Path) -> None:
    module, path = other_generators.network(name), tmp_path / "m.onnx"
    noise_dim, labels = other_generators.NOISE_DIM, [4, 0, 3, 1, 2, 0, 4]
    noise = torch.from_numpy(standard_normal(5, 0, len(labels), noise_dim))
    with torch.inference_mode():
        images = other_generators.images(module, noise, torch.tensor(labels)).double().numpy()
    expected = np.rint((images + 1) * 127.5)
    assert expected.std() > 5
    source = source_of_module(module, name=name, noise_dim=noise_dim, class_names=NAMES)
    for precision, (max_error, mean_error) in ERRORS.items():
        export_source(source, path, precision=precision)
        with ImageGenerator(path, "cpu") as generator:
            errors = np.abs(generator.generate(labels, seed=5) - expected)
        assert (errors.max() <= max_error, errors.mean() <= mean_error) == (True, True), precision
