"""Generators of other projects, from an nn.Module to images in an environment without PyTorch."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import my_generators
import numpy as np
import onnxruntime
import pytest
import torch

from cgan_runtime.noise import standard_normal

RANGES = {
    "transposed": (-1, 1),
    "residual": (-1, 1),
    "attention": (0, 1),
    "film": (0, 255),
    "style": (-1, 1),
}
PRECISIONS = ("fp32", "fp16", "int8")
NAMES = ("cat", "dog", "ox")


@pytest.mark.parametrize("name", RANGES)
def test_a_foreign_generator_runs_without_torch(
    name: str,
    call: Callable[..., Any],
    runtime_environment: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    low, high = RANGES[name]
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    done = call(
        *("cgan-export", f"my_generators:{name}", "mine.onnx", "--json", "--no-quality-gate"),
        *(word for precision in PRECISIONS for word in ("--precision", precision)),
        *("--noise-dim", my_generators.NOISE_DIM, "--class-names", "classes.txt"),
        *("--value-range", low, high),
    )
    assert done.returncode == 0, done.stderr
    reports = {report["precision"]: report for report in json.loads(done.stdout)}
    assert reports["int8"]["bit_exact"] is False
    labels = [0, 1, 2] * 4
    noise = torch.from_numpy(standard_normal(5, 0, len(labels), my_generators.NOISE_DIM))
    with torch.inference_mode():
        images = getattr(my_generators, name)()(noise, torch.tensor(labels)).double().numpy()
    expected = np.clip(np.rint((images - low) * 255 / (high - low)), 0, 255)
    assert expected.std() > 5
    scripts = runtime_environment(onnxruntime.__version__)
    for precision, (max_error, mean_error) in {
        "fp32": (1, 0.01),
        "fp16": (1, 0.05),
        "int8": (100, 4),
    }.items():
        model = f"mine-{precision}.onnx"
        words = ("--model", model, "--seed", "5", "--count", "4", "--output", f"{precision}.npy")
        by_name = (word for each in NAMES for word in ("--label", each))
        subprocess.run([scripts / "cgan-run", *by_name, *words], cwd=tmp_path, check=True)
        errors = np.abs(np.load(tmp_path / f"{precision}.npy").astype(float) - expected)
        assert (errors.max() <= max_error, errors.mean() <= mean_error) == (True, True)
    check = (scripts / "cgan-check", "--model", "mine-int8.onnx", "--json")
    report = json.loads(subprocess.run(check, cwd=tmp_path, capture_output=True, check=True).stdout)
    assert report["passed"]
    assert report["golden"]["tolerance"] > 0
