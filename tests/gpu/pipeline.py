"""The pipeline on CUDA: train there, export, draw there, compare with the CPU, and measure.

    make test-gpu

Needs a CUDA device, a CUDA build of torch, and onnxruntime-gpu in place of onnxruntime. Where one
of them is missing it says which, and leaves with 1.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from cuda_graphs import problems

from cgan_export import export_model
from cgan_runtime import CganError, ImageGenerator
from cgan_runtime.diagnostics.device_check import FLOAT_TOLERANCE, TOLERANCES
from cgan_runtime.diagnostics.speed import measure_speed
from cgan_training.data import Dataset, load_dataset
from cgan_training.recipe.schema import load_recipe
from cgan_training.run import RunOptions, train

DATA = Path(os.environ.get("CGAN_DATA_DIR", "data"))
SECONDS = 10.0  # of training
IMAGES = 2000  # compared
MOST_BEYOND = 0.001  # share of them that may be further off than cgan-check allows ten to be


def main() -> int:
    """Run it; return the exit code."""
    if not torch.cuda.is_available():
        return failed("torch finds no CUDA device here; run this on a machine with one")
    try:
        ImageGenerator(provider="cuda").close()
    except CganError as error:
        return failed(str(error))
    print(f"on {torch.cuda.get_device_name()}")
    data = load_dataset("auto", DATA)[0]
    if found := problems(data, load_dataset("optdigits", DATA)[0]):
        return failed("; ".join(found))
    print("recorded steps: as those launched one by one")
    with tempfile.TemporaryDirectory() as folder:
        return pipeline(data, Path(folder))


def pipeline(data: Dataset, folder: Path) -> int:
    """Train, export, draw and compare; return the exit code."""
    for name in ("seed", "edge"):
        began = time.perf_counter()
        train(
            load_recipe(name),
            data,
            folder / name,
            device=torch.device("cuda"),
            options=RunOptions(seconds_limit=SECONDS),
        )
        print(f"{name}: trained for {time.perf_counter() - began:.0f} s")
    wrong = 0
    for name in ("seed", "edge"):
        for precision in ("fp32", "int8"):
            path = folder / f"{name}-{precision}.onnx"
            export_model(folder / name, path, precision=precision)
            wrong += differs(path)
    return failed(f"{wrong} files draw too differently on CUDA") if wrong else 0


def differs(path: Path) -> bool:
    """Draw with CUDA and with the CPU; say how far apart they are and how fast."""
    speeds, images = {}, {}
    for provider in ("cuda", "cpu"):
        with ImageGenerator(path, provider, threads=1) as generator:
            labels = [index % generator.info.classes for index in range(IMAGES)]
            images[provider] = generator.generate(labels, seed=5).astype(int)
            speeds[provider] = measure_speed(generator)
            precision = generator.info.precision
    difference = np.abs(images["cuda"] - images["cpu"]).reshape(IMAGES, -1).max(1)
    allowed = TOLERANCES.get((precision, "cuda"), FLOAT_TOLERANCE)
    print(
        f"{path.stem}: {(difference > 0).mean():.2%} of images off the CPU, by {difference.max()} "
        f"grey levels at most, allowed are {allowed}; "
        + "; ".join(
            f"{provider} {speed.latency * 1e6:.0f} µs for one, {speed.throughput:,.0f} images/s"
            for provider, speed in speeds.items()
        )
    )
    return bool((difference > allowed).mean() > MOST_BEYOND)


def failed(words: str) -> int:
    """Say it, and return the exit code."""
    print(f"error: {words}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
