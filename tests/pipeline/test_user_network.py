"""A network of a user, from an nn.Module to images in an environment without PyTorch."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import user_networks
from user_networks import CLASSES, NOISE_DIM

from cgan_runtime.noise import standard_normal

NAMES = ("ant", "bee", "cat", "dog", "elk")
ERRORS = {  # the largest accepted max and mean pixel errors
    "fp32": (1, 0.01),
    "fp16": (1, 0.05),
    "int8": (100, 4),
}


def test_an_exported_user_network_runs_without_torch(
    call: Callable[..., Any], runtime_environment: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    options = ["--noise-dim", NOISE_DIM, "--class-names", "classes.txt", "--value-range", 0, 255]
    for precision in ERRORS:
        options += ["--precision", precision]
    command = ("cgan-export", "user_networks:film", "mine.onnx", "--json", "--no-quality-gate")
    done = call(*command, *options)
    assert done.returncode == 0, done.stderr
    reports = {report["precision"]: report for report in json.loads(done.stdout)}
    assert reports["int8"]["bit_exact"] is False
    labels = list(range(CLASSES)) * 4
    noise = torch.from_numpy(standard_normal(5, 0, len(labels), NOISE_DIM))
    with torch.inference_mode():
        expected = user_networks.film()(noise, torch.tensor(labels)).round().clamp(0, 255).numpy()
    assert expected.std() > 5
    scripts = runtime_environment(onnxruntime.__version__)
    generate = [str(scripts / "cgan-run"), "--seed", "5", "--count", "4"]
    for name in NAMES:
        generate += ["--label", name]
    for precision, (max_error, mean_error) in ERRORS.items():
        files = ["--model", f"mine-{precision}.onnx", "--output", f"{precision}.npy"]
        subprocess.run([*generate, *files], cwd=tmp_path, check=True)
        errors = np.abs(np.load(tmp_path / f"{precision}.npy").astype(float) - expected)
        assert errors.max() <= max_error, precision
        assert errors.mean() <= mean_error, precision
    check = (scripts / "cgan-check", "--model", "mine-int8.onnx", "--json")
    report = json.loads(subprocess.run(check, cwd=tmp_path, capture_output=True, check=True).stdout)
    assert report["passed"]
    assert report["golden"]["tolerance"] > 0
