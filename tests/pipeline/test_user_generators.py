"""A generator of a user, from the name of its function to images and their check."""

import json
from pathlib import Path

import numpy as np
import torch
import user_networks
from commands import Command
from user_networks import CLASSES, NOISE_DIM

from cgan_runtime.noise import standard_normal

NAMES = ("ant", "bee", "cat", "dog", "elk")
ERRORS = {"fp32": (1, 0.01), "fp16": (1, 0.05), "int8": (100, 4)}  # max and mean, in pixel values


def test_a_generator_of_a_user_is_exported_in_every_precision(
    call: Command, tmp_path: Path
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
    by_name = [word for name in NAMES for word in ("--label", name)]
    for precision, (max_error, mean_error) in ERRORS.items():
        files = ["--model", f"mine-{precision}.onnx", "--output", f"{precision}.npy"]
        done = call("cgan-run", "--seed", 5, "--count", 4, *by_name, *files)
        assert done.returncode == 0, done.stderr
        errors = np.abs(np.load(tmp_path / f"{precision}.npy").astype(float) - expected)
        assert errors.max() <= max_error, precision
        assert errors.mean() <= mean_error, precision
    report = json.loads(call("cgan-check", "--model", "mine-int8.onnx", "--json").stdout)
    assert report["passed"]
    assert report["golden"]["tolerance"] > 0
