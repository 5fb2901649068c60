"""Find out why a session did not get CUDA."""

import ctypes
import os
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

REINSTALL = (
    "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install 'cgan-runtime[gpu]', "
    "or use --provider cpu"
)
INSTALL_LIBRARIES = "pip install 'onnxruntime-gpu[cuda,cudnn]', or use --provider cpu"


def onnxruntime_distributions() -> dict[str, str]:
    """Return the installed distributions of onnxruntime: versions by name."""
    versions = {each.metadata["Name"] or "": each.version for each in distributions()}
    return {name: versions[name] for name in sorted(versions) if name.startswith("onnxruntime")}


def explain_cuda_not_offered() -> str:
    """Return why the installed onnxruntime does not offer CUDA, and what to do about it."""
    installed = onnxruntime_distributions()
    if "onnxruntime-gpu" not in installed:
        return f"it is the CPU build; {REINSTALL}"
    if "onnxruntime" in installed:
        return (
            "onnxruntime and onnxruntime-gpu are both installed, and overwrite each other's files; "
            f"{REINSTALL}"
        )
    return "the installed onnxruntime-gpu has no CUDA for this platform; use --provider cpu"


def explain_cuda_not_obtained(onnxruntime: Any, reason: str = "") -> str:
    """Return why a session did not get CUDA and what to do, given onnxruntime's own reason."""
    return (
        _driver_problem()
        or _library_problem(Path(onnxruntime.__file__).parent / "capi")
        or f"{reason or 'it gives no reason'}; look at nvidia-smi, or use --provider cpu"
    )


def _driver_problem() -> str | None:
    """Return what is wrong with NVIDIA's driver (CUDA driver API: cuInit, cuDeviceGetCount)."""
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
    """Load onnxruntime's CUDA library; if that fails, return which library is missing."""
    if os.name == "nt":  # the Windows loader does not name it
        return f"a CUDA or cuDNN library is missing; {INSTALL_LIBRARIES}"
    try:
        for name in ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"):
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return f"the library {str(error).partition(':')[0]} is missing; {INSTALL_LIBRARIES}"
    return None
