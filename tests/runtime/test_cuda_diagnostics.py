"""The reasons why CUDA cannot be used."""

import ctypes
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cgan_runtime.inference.cuda_diagnostics import explain_cuda_not_obtained

Loader = Callable[..., None]
ONNXRUNTIME = ModuleType("onnxruntime")
ONNXRUNTIME.__file__ = "site/onnxruntime/__init__.py"


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Simulate a machine that has these libraries only; a string is the error of loading it."""

    def install(**libraries: Any) -> None:
        def load(path: str, **_: object) -> Any:
            for name, library in libraries.items():
                if name in path:
                    if isinstance(library, str):
                        raise OSError(library)
                    return library
            raise OSError(f"{path}: cannot open shared object file: No such file or directory")

        monkeypatch.setattr("cgan_runtime.inference.cuda_diagnostics.ctypes.CDLL", load)
        monkeypatch.setattr("cgan_runtime.inference.cuda_diagnostics.sys.platform", "linux")

    return install


def driver(devices: int, code: int = 0) -> SimpleNamespace:
    def count(pointer: Any) -> int:
        ctypes.cast(pointer, ctypes.POINTER(ctypes.c_int)).contents.value = devices
        return 0

    return SimpleNamespace(cuInit=lambda _: code, cuDeviceGetCount=count)


def test_missing_driver_is_named(libraries: Loader) -> None:
    libraries()
    assert explain_cuda_not_obtained(ONNXRUNTIME) == (
        "NVIDIA's driver is missing (libcuda.so.1); install it, or use the provider cpu"
    )


@pytest.mark.parametrize(("devices", "code"), [(0, 0), (1, 100)])
def test_missing_device_is_reported(libraries: Loader, devices: int, code: int) -> None:
    libraries(libcuda=driver(devices, code))
    assert explain_cuda_not_obtained(ONNXRUNTIME) == (
        f"NVIDIA's driver finds no device (code {code}); use the provider cpu"
    )


def test_missing_library_is_named(libraries: Loader) -> None:
    libraries(
        libcuda=driver(1),
        providers_shared=object(),
        providers_cuda="libcublasLt.so.12: cannot open shared object file: No such file",
    )
    assert explain_cuda_not_obtained(ONNXRUNTIME) == (
        "the library libcublasLt.so.12 is missing; "
        "pip install 'onnxruntime-gpu[cuda,cudnn]', or use the provider cpu"
    )


@pytest.mark.parametrize(
    ("reason", "explanation"), [("", "onnxruntime gives no reason"), ("code 35", "code 35")]
)
def test_another_reason_is_quoted(libraries: Loader, reason: str, explanation: str) -> None:
    libraries(libcuda=driver(1), providers_shared=object(), providers_cuda=object())
    assert explain_cuda_not_obtained(ONNXRUNTIME, reason) == (
        f"{explanation}; look at nvidia-smi, or use the provider cpu"
    )
