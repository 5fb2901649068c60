"""Pixel errors of CUDA compared with the CPU, with TF32 in onnxruntime and without.

python tests/gpu/rounding.py [MODEL.onnx ...]      # the shipped model by default
"""

import sys

import numpy as np

from cgan_runtime import ImageGenerator
from cgan_runtime.diagnostics.speed import measure_speed
from cgan_runtime.model_file.reading import SHIPPED_MODEL

IMAGES = 100_000


def main(models: list[str]) -> None:
    """Compare, and print a line for each model and setting."""
    for model in models or [str(SHIPPED_MODEL)]:
        with ImageGenerator(model, "cpu") as generator:
            labels = [index % generator.info.classes for index in range(IMAGES)]
            expected = generator.generate(labels, seed=5).astype(np.int16)
        for tf32 in ("1", "0"):
            with ImageGenerator(model, f"cuda:use_tf32={tf32}") as generator:
                images = generator.generate(labels, seed=5).astype(np.int16)
                speed = measure_speed(generator)
            errors = np.abs(images - expected).reshape(IMAGES, -1).max(1)
            print(
                f"{model}, TF32 {'on' if tf32 == '1' else 'off'}: {(errors > 0).mean():.2%} of the "
                f"images differ, max pixel error {errors.max()}; {speed.latency * 1e6:.0f} µs for "
                f"one image, {speed.throughput:,.0f} images/s"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
