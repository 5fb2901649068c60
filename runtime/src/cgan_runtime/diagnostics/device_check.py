"""Is this device able to draw what the model promises? What `cgan-check` finds out."""

import platform
import time
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np

import cgan_runtime
from cgan_runtime.diagnostics.speed import Speed, measure_speed
from cgan_runtime.errors import ProviderError
from cgan_runtime.generator import ImageGenerator
from cgan_runtime.inference.cuda_diagnostics import explain_cuda_not_offered
from cgan_runtime.inference.session import CPU, CUDA, import_onnxruntime, offered, open_session
from cgan_runtime.model_file.contract import CONTRACT_VERSION

# Grey levels that a device may be off the golden images. Integers are the same on every CPU; on
# CUDA onnxruntime computes them in float, where a number may round to the step beside.
TOLERANCES = {("int8", CPU): 0, ("int8", CUDA): 8}
FLOAT_TOLERANCE = 1


@dataclass(frozen=True)
class Check:
    """What was found."""

    versions: dict[str, str]  # of this package, Python, platform, onnxruntime
    installed: dict[str, str]  # distributions of onnxruntime, by name
    offered: list[str]  # providers, by onnxruntime's names
    provider: str  # that the session really got
    not_cuda: str | None  # why it is not CUDA, and what to do; None where it is
    model: dict[str, Any]  # path, bytes, hash, and what it says of itself
    golden_images: int
    golden_difference: int  # the largest, in grey levels
    golden_allowed: int
    load_seconds: float
    speed: Speed

    @property
    def passed(self) -> bool:
        """Whether the device draws what the model promises."""
        return self.golden_difference <= self.golden_allowed


def check(
    model: Path | None = None,
    provider: str = "auto",
    threads: int | None = None,
    expect_sha256: str | None = None,
) -> Check:
    """Open a model, draw its golden images, and time it.

    Args:
        model: path of the .onnx file; None takes the one that ships.
        provider: as of ImageGenerator.
        threads: of the CPU provider; None takes one for each CPU of the process.
        expect_sha256: of the whole file, where only that file will do.

    Raises:
        InstallError: onnxruntime is not installed.
        ModelError: the file is missing, damaged, breaks the contract, or is not the one expected.
        ProviderError: the session did not get the provider.
    """
    onnxruntime = import_onnxruntime()
    began = time.perf_counter()
    with ImageGenerator(model, provider, threads, expect_sha256=expect_sha256) as generator:
        loaded = time.perf_counter() - began
        info, golden = generator.info, generator.info.golden
        drawn = generator.generate(list(golden.labels), seed=golden.seed)
        promised = np.frombuffer(golden.images, np.uint8).reshape(drawn.shape)
        difference = np.abs(drawn.astype(np.int16) - promised)
        content = generator.model_path.read_bytes()
        return Check(
            versions={
                "cgan-runtime": cgan_runtime.__version__,
                "python": platform.python_version(),
                "platform": f"{platform.system()} {platform.machine()}",
                "onnxruntime": onnxruntime.__version__,
                "numpy": np.__version__,
            },
            installed=_installed(),
            offered=list(onnxruntime.get_available_providers()),
            provider=generator.provider,
            not_cuda=None if generator.provider == CUDA else _why_not_cuda(onnxruntime, content),
            model={
                "path": str(generator.model_path),
                "bytes": len(content),
                "sha256": generator.model_sha256,
                "contract": CONTRACT_VERSION,
                "dataset": info.dataset,
                "precision": info.precision,
                "classes": list(info.class_names),
                "noise_dim": info.noise_dim,
                "shape": [info.height, info.width],
                "quality": dict(info.quality),
            },
            golden_images=len(golden.labels),
            golden_difference=int(difference.max(initial=0)),
            golden_allowed=TOLERANCES.get((info.precision, generator.provider), FLOAT_TOLERANCE),
            load_seconds=loaded,
            speed=measure_speed(generator),
        )


def _installed() -> dict[str, str]:
    """Return every distribution that brings an onnxruntime; more than one breaks each other."""
    found = {each.metadata["Name"] or "": each.version for each in distributions()}
    return {name: found[name] for name in sorted(found) if name.startswith("onnxruntime")}


def _why_not_cuda(onnxruntime: Any, content: bytes) -> str:
    if CUDA not in offered(onnxruntime):
        return explain_cuda_not_offered()
    try:
        open_session(content, "the model", CUDA, None)
    except ProviderError as error:
        return str(error)
    return "it was not asked for"
