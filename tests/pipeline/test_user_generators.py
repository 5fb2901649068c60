"""Generators in the style of other projects, from an nn.Module to images without PyTorch."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import my_generators
import numpy as np
import onnxruntime
import pytest
import torch
from commands import Command
from numpy.typing import NDArray

from cgan_runtime import ImageGenerator
from cgan_runtime.noise import standard_normal

RANGES = {
    "transposed": (-1, 1),
    "residual": (-1, 1),
    "attention": (0, 1),
    "film": (0, 255),
    "style": (-1, 1),
}
ERRORS = {"fp32": (1, 0.01), "fp16": (1, 0.05), "int8": (100, 4)}  # max and mean, in pixel values
NAMES = ("cat", "dog", "ox")
SEED, COUNT = 5, 4


@pytest.fixture
def export(call: Command, tmp_path: Path) -> Callable[[str], NDArray[np.float64]]:
    """Export a generator in every precision; return the expected images."""

    def run(name: str) -> NDArray[np.float64]:
        low, high = RANGES[name]
        (tmp_path / "classes.txt").write_text("\n".join(NAMES))
        done = call(
            *("cgan-export", f"my_generators:{name}", "mine.onnx", "--json", "--no-quality-gate"),
            *(word for precision in ERRORS for word in ("--precision", precision)),
            *("--noise-dim", my_generators.NOISE_DIM, "--class-names", "classes.txt"),
            *("--value-range", low, high),
        )
        assert done.returncode == 0, done.stderr
        reports = {report["precision"]: report for report in json.loads(done.stdout)}
        assert reports["int8"]["bit_exact"] is False
        labels = [0, 1, 2] * COUNT
        noise = torch.from_numpy(standard_normal(SEED, 0, len(labels), my_generators.NOISE_DIM))
        with torch.inference_mode():
            images = getattr(my_generators, name)()(noise, torch.tensor(labels)).double().numpy()
        expected: NDArray[np.float64] = np.clip(
            np.rint((images - low) * 255 / (high - low)), 0, 255
        )
        assert expected.std() > 5
        return expected

    return run


def assert_close(images: NDArray[np.uint8], expected: NDArray[np.float64], precision: str) -> None:
    errors, (max_error, mean_error) = np.abs(images - expected), ERRORS[precision]
    assert errors.max() <= max_error
    assert errors.mean() <= mean_error


@pytest.mark.parametrize("name", RANGES)
def test_a_generator_of_a_user_is_exported_in_every_precision(
    name: str, export: Callable[[str], NDArray[np.float64]], tmp_path: Path
) -> None:
    expected = export(name)
    for precision in ERRORS:
        with ImageGenerator(tmp_path / f"mine-{precision}.onnx", "cpu") as generator:
            assert_close(generator.generate([*NAMES] * COUNT, seed=SEED), expected, precision)


def test_a_generator_of_a_user_runs_without_torch(
    export: Callable[[str], NDArray[np.float64]],
    runtime_environment: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    expected = export("residual")
    scripts = runtime_environment(onnxruntime.__version__)
    for precision in ERRORS:
        output = f"{precision}.npy"
        words = ("--model", f"mine-{precision}.onnx", "--seed", str(SEED), "--count", str(COUNT))
        by_name = [word for name in NAMES for word in ("--label", name)]
        command: list[str | Path] = [scripts / "cgan-run", *by_name, *words, "--output", output]
        subprocess.run(command, cwd=tmp_path, check=True)
        assert_close(np.load(tmp_path / output), expected, precision)
    check = (scripts / "cgan-check", "--model", "mine-int8.onnx", "--json")
    report = json.loads(subprocess.run(check, cwd=tmp_path, capture_output=True, check=True).stdout)
    assert report["passed"]
    assert report["golden"]["tolerance"] > 0
