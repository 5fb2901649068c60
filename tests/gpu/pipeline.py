"""Train, export and generate on CUDA, and compare the images with those of the CPU.

    make test-gpu

Needs a CUDA device, a CUDA build of PyTorch, and onnxruntime-gpu instead of onnxruntime. If one of
them is missing, an error says which, and the exit code is 1.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from cuda_graphs import find_problems

from cgan_export import export_model
from cgan_runtime import CganError, ImageGenerator
from cgan_runtime.diagnostics.device_check import golden_tolerance
from cgan_runtime.diagnostics.speed import measure_speed
from cgan_training.data import Dataset, load_dataset
from cgan_training.recipe import load_recipe
from cgan_training.run import RunOptions, train

DATA = Path(os.environ.get("CGAN_DATA_DIR", "data"))
TRAINING_SECONDS = 10.0
IMAGES = 2000  # to compare
MAX_OUTLIERS = 0.001  # share of images whose error exceeds the tolerance of cgan-check


def main() -> int:
    """Run everything, and return the exit code."""
    if not torch.cuda.is_available():
        return fail("PyTorch finds no CUDA device; run this on a machine with one")
    try:
        ImageGenerator(provider="cuda").close()
    except CganError as error:
        return fail(str(error))
    print(f"on {torch.cuda.get_device_name()}")
    data = load_dataset("auto", DATA)[0]
    if problems := find_problems(data, load_dataset("optdigits", DATA)[0]):
        return fail("; ".join(problems))
    print("CUDA graphs: the weights agree with directly run steps")
    with tempfile.TemporaryDirectory() as folder:
        return run_pipeline(data, Path(folder))


def run_pipeline(data: Dataset, folder: Path) -> int:
    """Train, export, generate and compare; return the exit code."""
    wrong = 0
    for name in ("classic", "edge"):
        start = time.perf_counter()
        train(
            load_recipe(name),
            data,
            folder / name,
            device=torch.device("cuda"),
            options=RunOptions(seconds_limit=TRAINING_SECONDS),
        )
        print(f"{name}: trained for {time.perf_counter() - start:.0f} s")
        for precision in ("fp32", "int8"):
            path = folder / f"{name}-{precision}.onnx"
            export_model(folder / name, path, precision=precision)
            wrong += images_differ(path)
    return fail(f"the images of {wrong} files differ too much on CUDA") if wrong else 0


def images_differ(path: Path) -> bool:
    """Compare the images of CUDA and the CPU, and print the errors and speeds."""
    speeds, images = {}, {}
    for provider in ("cuda", "cpu"):
        with ImageGenerator(path, provider, threads=1) as generator:
            labels = [index % generator.info.classes for index in range(IMAGES)]
            images[provider] = generator.generate(labels, seed=5).astype(int)
            speeds[provider] = measure_speed(generator)
            info = generator.info
    errors = np.abs(images["cuda"] - images["cpu"]).reshape(IMAGES, -1).max(1)
    tolerance = golden_tolerance("cuda", info)
    print(
        f"{path.stem}: {(errors > 0).mean():.2%} of the images differ from the CPU's, max pixel "
        f"error {errors.max()}, tolerance {tolerance}; "
        + "; ".join(
            f"{provider}: {speed.latency * 1e6:.0f} µs per image, {speed.throughput:,.0f} images/s"
            for provider, speed in speeds.items()
        )
    )
    return bool((errors > tolerance).mean() > MAX_OUTLIERS)


def fail(message: str) -> int:
    """Print an error, and return the exit code."""
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
