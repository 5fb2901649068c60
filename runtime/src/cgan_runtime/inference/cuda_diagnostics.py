"""Why a session did not get CUDA, and what to install: looked for only once it did not."""

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

REINSTALL = (
    "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install 'cgan-runtime[gpu]', "
    "or use --provider cpu"
)
LIBRARIES = "pip install 'onnxruntime-gpu[cuda,cudnn]', or use --provider cpu"


def explain_cuda_not_offered() -> str:
    """Return why the installed onnxruntime offers no CUDA, and what to do about it."""
    if not _installed("onnxruntime-gpu"):
        return f"it is the CPU build; {REINSTALL}"
    if _installed("onnxruntime"):
        return (
            "onnxruntime and onnxruntime-gpu are both installed and the former overwrote the "
            f"latter; {REINSTALL}"
        )
    return "the onnxruntime-gpu installed here has none for this platform; use --provider cpu"


def explain_cuda_not_obtained(onnxruntime: Any, said: str = "") -> str:
    """Return why a session did not get the CUDA that onnxruntime offers, and what to do about it.

    Args:
        onnxruntime: the package.
        said: its own words, where it said something.
    """
    return (
        _driver_problem()
        or _library_problem(Path(onnxruntime.__file__).parent / "capi")
        or f"{said or 'it does not say why'}; look at nvidia-smi, or use --provider cpu"
    )


def _driver_problem() -> str | None:
    """Ask NVIDIA's driver itself (CUDA driver API: cuInit, cuDeviceGetCount)."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return f"NVIDIA's driver is missing ({name}); install it, or use --provider cpu"
    count = ctypes.c_int()
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code or not count.value:
        return f"NVIDIA's driver finds no device (code {code}); use --provider cpu"
    return None


def _library_problem(folder: Path) -> str | None:
    """Load onnxruntime's CUDA library: the linker names what it lacks."""
    if os.name == "nt":  # its linker does not say
        return f"a CUDA or cuDNN library is missing; {LIBRARIES}"
    try:
        for name in ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"):
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return f"the library {str(error).partition(':')[0]} is missing; {LIBRARIES}"
    return None


def _installed(distribution: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version  # 20 ms, and seldom needed

    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
