import ctypes
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cgan_runtime.inference.cuda_diagnostics import explain_cuda_not_obtained

DRIVER, SHARED = "libcuda.so.1", "libonnxruntime_providers_shared.so"
Loader = Callable[..., None]


@pytest.fixture
def onnxruntime() -> ModuleType:
    module = ModuleType("onnxruntime")
    module.__file__ = "site/onnxruntime/__init__.py"
    return module


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Pretend that these libraries are there, and no other."""

    def install(**found: Any) -> None:
        def load(path: str, **_: object) -> Any:
            for name, library in found.items():
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


def test_no_driver(onnxruntime: ModuleType, libraries: Loader) -> None:
    libraries()
    assert explain_cuda_not_obtained(onnxruntime) == (
        "NVIDIA's driver is missing (libcuda.so.1); install it, or use --provider cpu"
    )


@pytest.mark.parametrize(("devices", "code"), [(0, 0), (1, 100)])
def test_no_device(onnxruntime: ModuleType, libraries: Loader, devices: int, code: int) -> None:
    libraries(libcuda=driver(devices, code))
    assert explain_cuda_not_obtained(onnxruntime) == (
        f"NVIDIA's driver finds no device (code {code}); use --provider cpu"
    )


def test_a_library_is_missing(onnxruntime: ModuleType, libraries: Loader) -> None:
    libraries(
        libcuda=driver(1),
        providers_shared=object(),
        providers_cuda="libcublasLt.so.12: cannot open shared object file: No such file",
    )
    assert explain_cuda_not_obtained(onnxruntime) == (
        "the library libcublasLt.so.12 is missing; "
        "pip install 'onnxruntime-gpu[cuda,cudnn]', or use --provider cpu"
    )


@pytest.mark.parametrize(("said", "words"), [("", "it does not say why"), ("code 35", "code 35")])
def test_nothing_is_missing(
    onnxruntime: ModuleType, libraries: Loader, said: str, words: str
) -> None:
    libraries(libcuda=driver(1), providers_shared=object(), providers_cuda=object())
    assert explain_cuda_not_obtained(onnxruntime, said) == (
        f"{words}; look at nvidia-smi, or use --provider cpu"
    )
