"""model.pt -> model.onnx: trace, describe, prove, and only then let the file exist."""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import onnx

import cgan_export
from cgan_export.graph import to_onnx
from cgan_export.verify import Tolerance, golden_of, verify
from cgan_export.weights import with_half_weights, with_int8_weights
from cgan_runtime.contract import OPSET, ModelInfo
from cgan_runtime.files import written_whole
from cgan_training.model_file import Model, load_model
from cgan_training.networks import parameter_count

PRECISIONS: Mapping[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "fp32": lambda graph: graph,
    "fp16": with_half_weights,
    "int8-weights": with_int8_weights,
}
# What rounding may cost; in float32 only the order of sums differs.
TOLERANCES = {
    "fp32": Tolerance(1, 0.01),
    "fp16": Tolerance(1, 0.05),
    "int8-weights": Tolerance(32, 0.5),
}


@dataclass(frozen=True)
class Report:
    """What an export made."""

    path: Path
    size_bytes: int
    parameters: int  # of the trained network
    opset: int
    largest_difference: int  # from torch, in grey levels of 255
    mean_difference: float  # likewise
    images_compared: int
    quality: Mapping[str, float]  # the figures that the metadata hold
    seconds: float


def export_model(
    model_path: Path,
    output: Path,
    *,
    precision: str = "fp32",
    measure: Callable[[Model], dict[str, float]] | None = None,
) -> Report:
    """Export a trained generator to one ONNX file that follows the model contract.

    Args:
        model_path: a model.pt, or the run directory that holds one.
        output: the file to write; it appears only after it was proven.
        precision: of the weights in the file, one of PRECISIONS.
        measure: gives the quality figures for the file's metadata, by name; without it they are
            those that model.pt holds.

    Raises:
        cgan_training.errors.ModelFileError: the model cannot be read.
        cgan_runtime.OutputError: the output cannot be written.
        VerificationError: the file does not draw what the trained network draws.
    """
    began = time.perf_counter()
    model = load_model(model_path)
    if measure is not None:
        model = replace(model, quality=measure(model))
    graph = PRECISIONS[precision](to_onnx(model.generator))
    onnx.helper.set_model_props(graph, _info(model, precision).to_metadata())
    content = graph.SerializeToString(deterministic=True)
    with written_whole(output) as file:
        file.write(content)
        file.flush()
        parity = verify(Path(file.name), model, TOLERANCES[precision])
    return Report(
        path=output,
        size_bytes=len(content),
        parameters=parameter_count(model.generator),
        opset=OPSET,
        largest_difference=parity.largest_difference,
        mean_difference=parity.mean_difference,
        images_compared=parity.images,
        quality=model.quality,
        seconds=time.perf_counter() - began,
    )


def _info(model: Model, precision: str) -> ModelInfo:
    generator = model.generator
    training = {key: value for key, value in model.training.items() if key != "versions"}
    return ModelInfo(
        class_names=model.class_names,
        noise_dim=generator.noise_dim,
        height=generator.height,
        width=generator.width,
        dataset=model.dataset,
        precision=precision,
        weights_sha256=model.weights_sha256,
        recipe=model.recipe,
        training=training,
        versions={
            **model.training["versions"],
            "python": platform.python_version(),
            "cgan-export": cgan_export.__version__,
            "onnx": version("onnx"),
        },
        quality=model.quality,
        golden=golden_of(model),
    )
