"""Generate images, such as handwritten digits, with a conditional GAN on onnxruntime.

    from cgan_runtime import ImageGenerator

    images = ImageGenerator().generate([2, 0, 2, 6], seed=7)  # uint8 [4, 1, 28, 28]

__all__ lists the public API. Importing this package is fast: numpy and onnxruntime are imported
when a name that needs them is first used.
"""

TYPE_CHECKING = False  # importing typing takes milliseconds
if TYPE_CHECKING:
    from typing import Any

    from cgan_runtime.errors import (
        CganError,
        InputError,
        InstallError,
        ModelError,
        OutputError,
        ProviderError,
    )
    from cgan_runtime.generator import ImageGenerator
    from cgan_runtime.images.png import png
    from cgan_runtime.model_file.contract import Golden, ModelInfo

__version__ = "0.1.0"

__all__ = [
    "CganError",
    "Golden",
    "ImageGenerator",
    "InputError",
    "InstallError",
    "ModelError",
    "ModelInfo",
    "OutputError",
    "ProviderError",
    "png",
]
_MODULES = {  # every public name that is missing here is defined in errors.py
    "Golden": "model_file.contract",
    "ImageGenerator": "generator",
    "ModelInfo": "model_file.contract",
    "png": "images.png",
}


def __getattr__(name: str) -> "Any":
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
