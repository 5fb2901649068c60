"""Export a conditional generator to one verified ONNX file.

    from cgan_export import export_generator, export_model

    export_model(Path("runs/mnist"), Path("digits.onnx"), precision="int8")
    export_generator(module, "mine.onnx", noise_dim=64, class_names=["cat", "dog"])

Importing this package is cheap. torch and onnx are imported when a function is first accessed.
"""

TYPE_CHECKING = False  # importing typing takes milliseconds
if TYPE_CHECKING:
    from typing import Any

    from cgan_export.errors import EvaluationError, ExportError, VerificationError
    from cgan_export.export import ExportReport, export_generator, export_model

__version__ = "0.1.0"

__all__ = [
    "EvaluationError",
    "ExportError",
    "ExportReport",
    "VerificationError",
    "export_generator",
    "export_model",
]


def __getattr__(name: str) -> "Any":
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = "errors" if name.endswith("Error") else "export"
    return getattr(import_module(f"{__name__}.{module}"), name)
