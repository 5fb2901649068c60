"""Check whether this device generates the expected images, and report its providers and speed."""

import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cgan_runtime
from cgan_runtime.diagnostics.speed import Speed, measure_speed
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.inference import cuda_diagnostics
from cgan_runtime.inference.session import import_onnxruntime
from cgan_runtime.model_file.contract import CONTRACT_VERSION, ModelInfo
from cgan_runtime.providers import AUTO, CPU, CUDA, find_provider, parse_provider


@dataclass(frozen=True)
class DeviceReport:
    """Result of check_device()."""

    versions: dict[str, str]  # versions of this package, Python, platform, onnxruntime and numpy
    onnxruntime_distributions: dict[str, str]  # version of each installed distribution
    available_providers: list[str]  # providers of the installed onnxruntime, by their full names
    provider: str  # provider of the session
    node_counts: dict[str, int]  # number of graph nodes by provider; {} for the CPU or if unknown
    # Why provider "auto" does not use CUDA, and what to do. None if it does, if another provider
    # was requested, or if there is no NVIDIA device.
    no_cuda_reason: str | None
    model: dict[str, Any]  # path, size, SHA-256 and metadata of the model
    golden_images: int  # number of images in the golden sample
    golden_max_error: int  # max pixel error of the golden sample, 0-255
    golden_tolerance: int  # largest allowed golden_max_error
    load_seconds: float  # time to load the model
    speed: Speed

    @property
    def passed(self) -> bool:
        """Whether the device generates the golden sample within the tolerance."""
        return self.golden_max_error <= self.golden_tolerance


def check_device(
    model: Path | None = None,
    provider: str = "auto",
    threads: int | None = None,
    expect_sha256: str | None = None,
) -> DeviceReport:
    """Load a model, generate its golden sample, and measure the speed.

    The arguments and errors are those of ImageGenerator.
    """
    onnxruntime = import_onnxruntime()
    started = time.perf_counter()
    with ImageGenerator(model, provider, threads, expect_sha256=expect_sha256) as generator:
        load_seconds = time.perf_counter() - started
        info, golden = generator.info, generator.info.golden
        images = generator.generate(list(golden.labels), seed=golden.seed)
        expected = np.frombuffer(golden.images, np.uint8).reshape(images.shape)
        error = np.abs(images.astype(np.int16) - expected)
        return DeviceReport(
            versions={
                "cgan-runtime": cgan_runtime.__version__,
                "python": platform.python_version(),
                "platform": f"{platform.system()} {platform.machine()}",
                "onnxruntime": onnxruntime.__version__,
                "numpy": np.__version__,
            },
            onnxruntime_distributions=cuda_diagnostics.onnxruntime_distributions(),
            available_providers=list(onnxruntime.get_available_providers()),
            provider=generator.provider,
            node_counts=generator.node_counts,
            no_cuda_reason=_no_cuda_reason(provider, generator),
            model={
                "path": str(generator.model_path),
                "size_bytes": generator.model_size,
                "sha256": generator.model_sha256,
                "contract": CONTRACT_VERSION,
                "dataset": info.dataset,
                "precision": info.precision,
                "bit_exact": info.bit_exact,
                "classes": list(info.class_names),
                "noise_dim": info.noise_dim,
                "shape": list(info.image_shape),
                "quality": dict(info.quality),
            },
            golden_images=len(golden.labels),
            golden_max_error=int(error.max(initial=0)),
            golden_tolerance=golden_tolerance(generator.provider, info),
            load_seconds=load_seconds,
            speed=measure_speed(generator),
        )


def _no_cuda_reason(requested: str, generator: ImageGenerator) -> str | None:
    """Return why "auto" does not use CUDA; None if it does, or if there is no NVIDIA device."""
    if parse_provider(requested)[0] != AUTO or generator.provider == CUDA:
        return None
    if generator.no_cuda_reason:
        return generator.no_cuda_reason
    has_device = not cuda_diagnostics.driver_problem()
    return cuda_diagnostics.explain_cuda_not_offered() if has_device else None


def golden_tolerance(provider: str, info: ModelInfo) -> int:
    """Return the largest allowed pixel error (0-255) of the golden sample."""
    if info.bit_exact and provider == CPU:
        return 0
    row = find_provider(provider)
    return row.int8_tolerance if info.precision == "int8" else row.float_tolerance
