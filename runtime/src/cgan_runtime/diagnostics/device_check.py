"""Check whether this device generates the expected images, and report its providers and speed."""

import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cgan_runtime
from cgan_runtime.diagnostics.speed import Speed, measure_speed
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.inference import cuda_diagnostics, session
from cgan_runtime.model_file.contract import CONTRACT_VERSION, ModelInfo
from cgan_runtime.providers import AUTO, CPU, CUDA, parse_provider, properties


@dataclass(frozen=True)
class DeviceReport:
    """Result of check_device()."""

    versions: dict[str, str]  # of this package, Python, platform, onnxruntime and numpy
    onnxruntime_distributions: dict[str, str]  # installed ones: versions by name
    available_providers: list[str]  # onnxruntime's names
    provider: str  # provider of the session
    nodes: dict[str, int]  # that each provider computes; {} if that is unknown, or on the CPU
    no_cuda_reason: str | None  # why "auto" does not use CUDA where it could, and what to do
    model: dict[str, Any]  # path, size, hash and metadata
    golden_images: int
    golden_max_error: int  # maximum pixel error, 0-255
    golden_tolerance: int  # largest allowed golden_max_error
    load_seconds: float
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
    onnxruntime = session.import_onnxruntime()
    started = time.perf_counter()
    with (
        _captured_warnings() as warnings,
        ImageGenerator(model, provider, threads, expect_sha256=expect_sha256) as generator,
    ):
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
            nodes=generator.nodes,
            no_cuda_reason=_no_cuda_reason(provider, generator.provider, warnings),
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


def _no_cuda_reason(requested: str, obtained: str, warnings: list[str]) -> str | None:
    """Return why "auto" does not use CUDA, on a machine where it could."""
    if parse_provider(requested)[0] != AUTO or obtained == CUDA:
        return None
    if warnings or cuda_diagnostics.driver_problem():  # without a device, CUDA is no choice
        return "; ".join(warnings) or None
    return cuda_diagnostics.explain_cuda_not_offered()


def golden_tolerance(provider: str, info: ModelInfo) -> int:
    """Return the largest allowed pixel error (0-255) of the golden sample."""
    if info.bit_exact and provider == CPU:
        return 0
    row = properties(provider)
    return row.int8_tolerance if info.precision == "int8" else row.float_tolerance


class _Messages(logging.Handler):
    """Keeps the causes of warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the arguments of a message."""
        self.texts.append(", ".join(map(str, record.args or ())))


@contextmanager
def _captured_warnings() -> Iterator[list[str]]:
    """Collect why the provider "auto" does not use CUDA, which open_session() logs."""
    logger, handler = logging.getLogger(session.__name__), _Messages()
    logger.addHandler(handler)
    try:
        yield handler.texts
    finally:
        logger.removeHandler(handler)
