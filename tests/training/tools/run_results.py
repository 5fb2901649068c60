"""Helpers of tests that resume runs and compare two run directories."""

from pathlib import Path

import torch

from cgan_training.model_file import load_model
from cgan_training.run import RunOptions, read_metrics

CPU = torch.device("cpu")
RESUME = RunOptions(resume=True)


def weights(run_dir: Path) -> str:
    return load_model(run_dir).weights_sha256


def losses(run_dir: Path) -> list[tuple[float, float]]:
    metrics = read_metrics(run_dir)
    assert [line["epoch"] for line in metrics] == list(range(1, len(metrics) + 1))
    return [(line["loss_generator"], line["loss_discriminator"]) for line in metrics]


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
