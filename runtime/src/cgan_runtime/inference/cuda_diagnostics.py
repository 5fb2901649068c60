"""Find out why a session did not get CUDA."""

import ctypes
import os
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from cgan_runtime.inference.native_errors import NO_REASON

REINSTALL = (
    "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install 'cgan-runtime[gpu]', "
    "or use the provider cpu"
)
INIT_FILE = "onnxruntime/__init__.py"  # relative to site-packages
INSTALL_LIBRARIES = "pip install 'onnxruntime-gpu[cuda,cudnn]', or use the provider cpu"


def onnxruntime_distributions() -> dict[str, str]:
    """Return the distributions that installed the imported onnxruntime: versions by name.

    There should be exactly one. Distributions with a similar name (onnxruntime-extensions), or in a
    folder that Python searches later, do not count.
    """
    imported = getattr(sys.modules.get("onnxruntime"), "__file__", None)
    owners = {}
    for distribution in distributions():
        path = str(distribution.locate_file(INIT_FILE))
        is_imported = imported in (None, path, os.path.realpath(path))
        if is_imported and _owns_onnxruntime(distribution):
            owners[distribution.metadata["Name"] or "unknown"] = distribution.version
    return dict(sorted(owners.items()))


def _owns_onnxruntime(distribution: Distribution) -> bool:
    """Return whether a distribution lists onnxruntime among its files or its packages."""
    record = distribution.read_text("RECORD")
    if record is not None:
        return f"\n{INIT_FILE}," in f"\n{record}"
    return "onnxruntime" in (distribution.read_text("top_level.txt") or "").split()


def explain_cuda_not_offered() -> str:
    """Return why the installed onnxruntime does not offer CUDA, and what to do about it."""
    names = [*onnxruntime_distributions()]
    if len(names) > 1:
        return (
            f"{' and '.join(names)} are both installed, and overwrite each other's files; "
            f"{REINSTALL}"
        )
    if sys.platform == "darwin" or names == ["onnxruntime-gpu"]:
        name = names[0] if names else "onnxruntime"
        return f"the installed {name} has no CUDA for this platform; use the provider cpu"
    if names == ["onnxruntime"]:
        return f"it is the CPU build; {REINSTALL}"
    build = f"it is {names[0]}" if names else "it was not installed by pip"
    return f"{build}; use the provider cpu, or another one that cgan-check lists"


def explain_cuda_not_obtained(onnxruntime: Any, reason: str = "") -> str:
    """Return why a session did not get CUDA and what to do, given the reason of onnxruntime."""
    return (
        driver_problem()
        or _library_problem(Path(onnxruntime.__file__).parent / "capi")
        or f"{reason or NO_REASON}; look at nvidia-smi, or use the provider cpu"
    )


def driver_problem() -> str | None:
    """Return what is wrong with NVIDIA's driver, or None if it finds a device.

    CUDA driver API: cuInit, cuDeviceGetCount.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return f"NVIDIA's driver is missing ({name}); install it, or use the provider cpu"
    count = ctypes.c_int()
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code or not count.value:
        return f"NVIDIA's driver finds no device (code {code}); use the provider cpu"
    return None


def _library_problem(folder: Path) -> str | None:
    """Load onnxruntime's CUDA library; if that fails, return which library is missing."""
    if os.name == "nt":  # the error of the Windows loader does not name the missing library
        return f"a CUDA or cuDNN library is missing; {INSTALL_LIBRARIES}"
    try:
        for name in ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"):
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return f"the library {str(error).partition(':')[0]} is missing; {INSTALL_LIBRARIES}"
    return None
