"""Turn a trained conditional generator into one verified ONNX file."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cgan_export.errors import ExportError, VerificationError
    from cgan_export.export import Report, export_model

__version__ = "0.1.0"

__all__ = ["ExportError", "Report", "VerificationError", "export_model"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = "errors" if name.endswith("Error") else "export"
    return getattr(import_module(f"{__name__}.{home}"), name)
