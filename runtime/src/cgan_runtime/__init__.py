"""Draw handwritten digits with a conditional GAN on onnxruntime.

    from cgan_runtime import ImageGenerator

    images = ImageGenerator().generate([2, 0, 2, 6], seed=7)  # uint8 [4, 1, 28, 28]

Importing this package costs next to nothing: numpy and onnxruntime are imported by the first
name that needs them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cgan_runtime.errors import (
        CganError,
        InputError,
        InstallError,
        ModelError,
        OutputError,
        ProviderError,
    )
    from cgan_runtime.generator import ImageGenerator
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
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = {"ImageGenerator": "generator", "Golden": "contract", "ModelInfo": "contract"}
    return getattr(import_module(f"{__name__}.{home.get(name, 'errors')}"), name)
