"""Generators in the style of other projects, from an nn.Module to images."""

import json
from pathlib import Path

import my_generators
import numpy as np
import pytest
import torch
from commands import Command

from cgan_runtime import ImageGenerator
from cgan_runtime.noise import standard_normal

ERRORS = {"fp32": (1, 0.01), "fp16": (1, 0.05), "int8": (100, 4)}  # max and mean, in pixel values
NAMES = ("cat", "dog", "ox")


@pytest.mark.parametrize(
    ("name", "value_range"),
    [
        ("transposed", (-1, 1)),
        ("residual", (-1, 1)),
        ("attention", (0, 1)),
        ("film", (0, 255)),
        ("style", (-1, 1)),
    ],
)
def test_a_generator_of_a_user_is_exported_in_every_precision(
    call: Command, tmp_path: Path, name: str, value_range: tuple[int, int]
) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    done = call(
        *("cgan-export", f"my_generators:{name}", "mine.onnx", "--json", "--no-quality-gate"),
        *(word for precision in ERRORS for word in ("--precision", precision)),
        *("--noise-dim", my_generators.NOISE_DIM, "--class-names", "classes.txt"),
        *("--value-range", *value_range),
    )
    assert done.returncode == 0, done.stderr
    reports = {report["precision"]: report for report in json.loads(done.stdout)}
    assert reports["int8"]["bit_exact"] is False

    labels = [0, 1, 2] * 4
    noise = torch.from_numpy(standard_normal(5, 0, len(labels), my_generators.NOISE_DIM))
    with torch.inference_mode():
        outputs = getattr(my_generators, name)()(noise, torch.tensor(labels)).double().numpy()
    low, high = value_range
    expected = np.clip(np.rint((outputs - low) * 255 / (high - low)), 0, 255)
    assert expected.std() > 5
    for precision, (max_error, mean_error) in ERRORS.items():
        with ImageGenerator(tmp_path / f"mine-{precision}.onnx", "cpu") as generator:
            images = generator.generate([*NAMES] * 4, seed=5)
        errors = np.abs(images - expected)
        assert (errors.max() <= max_error, errors.mean() <= mean_error) == (True, True)
    report = json.loads(call("cgan-check", "--model", "mine-int8.onnx", "--json").stdout)
    assert report["passed"]
    assert report["golden"]["tolerance"] > 0
