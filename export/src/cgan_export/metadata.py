"""The metadata of an exported file."""

import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cgan_export.evaluation.quality_gate import GateResult
from cgan_export.source.generator_source import GeneratorSource
from cgan_export.verification.verify import PixelErrors
from cgan_runtime.model_file.contract import REFERENCE_SEED, Golden, ModelInfo


def model_info(source: GeneratorSource, precision: str, *, bit_exact: bool = False) -> ModelInfo:
    """Return the metadata that is known before verification. The golden sample is blank."""
    return ModelInfo(
        class_names=source.class_names,
        noise_dim=source.noise_dim,
        image_shape=source.image_shape,
        dataset=source.dataset,
        precision=precision,
        weights_sha256=source.weights_sha256,
        recipe=source.recipe,
        training=_without_paths(source.training),
        versions={
            **source.training["versions"],
            "python": platform.python_version(),
            "cgan-export": version("cgan-export"),
            "onnx": version("onnx"),
        },
        quality={},
        verification={},
        golden=Golden(REFERENCE_SEED, (0,), bytes(math.prod(source.image_shape))),
        bit_exact=bit_exact,
    )


def verification_results(errors: PixelErrors, gate_result: GateResult | None) -> dict[str, Any]:
    """Return the results of the verification and of the quality gate for the metadata."""
    results: dict[str, Any] = {
        "max_pixel_error": errors.max,
        "mean_pixel_error": round(errors.mean, 4),
        "images": errors.images,
        "quality_gate": _gate_text(gate_result),
    }
    if gate_result:
        results["label_accuracy_change"] = gate_result.change
        results["label_accuracy_images"] = gate_result.images
    return results


def _without_paths(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a training run without package versions and local paths."""
    metadata = {
        key: _without_paths(value) if key == "started_from" else value
        for key, value in training.items()
        if key not in ("versions", "dataset_path", "data_dir", "recipe_path")
    }
    if training.get("dataset_path"):
        metadata["dataset_is_folder"] = Path(training["dataset_path"]).is_absolute()
    if training.get("recipe_path"):
        metadata["recipe_file"] = Path(training["recipe_path"]).name
    return metadata


def _gate_text(result: GateResult | None) -> str:
    return "not run" if result is None else result.decision
