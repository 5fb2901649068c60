"""Export model.pt to model.onnx: trace, add metadata, verify, then write the file."""

import logging
import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import onnx

import cgan_export
from cgan_export.errors import ExportError
from cgan_export.evaluation.quality_gate import GateResult
from cgan_export.int8.onnx_graph import export_to_int8_onnx
from cgan_export.int8.quantization import quantize
from cgan_export.passes.fp16 import store_weights_as_fp16
from cgan_export.tracing.trace import ContractGenerator, export_to_onnx
from cgan_export.verification import (
    Tolerance,
    check_graph,
    golden_sample,
    verify_against_integers,
    verify_against_torch,
)
from cgan_runtime import ImageGenerator
from cgan_runtime.files import atomic_write
from cgan_runtime.model_file.checksum import add_checksum
from cgan_runtime.model_file.contract import MAX_OPSET, OPSET, REFERENCE_SEED, Golden, ModelInfo
from cgan_training.model_file import Model, load_model
from cgan_training.networks import parameter_count

# The accepted pixel errors of each precision. fp32 differs from PyTorch only in the order of sums.
# The limits of int8 find gross errors only: verify_against_integers() and the gate are stricter.
TOLERANCES = {
    "fp32": Tolerance(1, 0.01),
    "fp16": Tolerance(1, 0.05),
    "int8": Tolerance(112, 2.0, batch_error=0),
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportReport:
    """Result of an export."""

    path: Path
    precision: str
    size_bytes: int
    parameters: int  # of the trained network
    nodes: int  # of the stored graph
    opset: int
    max_pixel_error: int  # compared with PyTorch, on the scale 0 to 255
    mean_pixel_error: float
    images_compared: int
    gate_result: GateResult | None
    quality: Mapping[str, float]  # the quality figures in the metadata
    seconds: float


def export_model(
    model_path: Path,
    output: Path,
    *,
    precision: str = "fp32",
    opset: int = OPSET,
    gate: Callable[[ImageGenerator, Model], GateResult] | None = None,
    measure: Callable[[ImageGenerator], dict[str, float]] | None = None,
    threads: int | None = None,
) -> ExportReport:
    """Export a trained generator to one ONNX file that follows the model contract.

    Each long step is logged before it begins.

    Args:
        model_path: a model.pt, or the run directory that contains one.
        output: the file to write. It appears only after verification.
        precision: "fp32"; "fp16", which halves the size of the weights and computes in float32;
            or "int8", which quarters their size and multiplies integers.
        opset: ONNX opset version, 19 to 21.
        gate: compares the exported file with the trained network and raises VerificationError if
            the images are worse, for example quality_gate.compare_accuracy.
        measure: returns the quality figures of the exported file for its metadata. Without it,
            the file gets the figures that model.pt contains.
        threads: number of threads of ONNX Runtime; None uses one for each core.

    Raises:
        ExportError: the precision or the opset is not supported.
        cgan_training.errors.ModelFileError: the model cannot be read.
        cgan_runtime.OutputError: the output cannot be written.
        VerificationError: the file does not reproduce the images of the trained network.
    """
    if precision not in TOLERANCES:
        raise ExportError(f"unknown precision {precision!r}; choose from {', '.join(TOLERANCES)}")
    if opset not in range(OPSET, MAX_OPSET + 1):
        raise ExportError(f"opset {opset} is not supported; choose {OPSET} to {MAX_OPSET}")
    started = time.perf_counter()
    model = load_model(model_path)
    module = ContractGenerator(model.generator).eval()
    quantized = None
    if precision == "int8":
        _log.info("quantizing to int8")
        quantized = quantize(module)
    _log.info("tracing %s to an %s graph", model_path, precision)
    graph = export_to_int8_onnx(quantized, opset) if quantized else export_to_onnx(module, opset)
    if precision == "fp16":
        graph = store_weights_as_fp16(graph)
    info = model_info(model, precision)
    with atomic_write(output) as file:
        path = Path(file.name)
        _write(graph, info, file)
        check_graph(path)
        with ImageGenerator(path, provider="cpu", threads=threads) as generator:
            _log.info("verifying the images of the file")
            errors = verify_against_torch(generator, model, TOLERANCES[precision])
            if quantized:
                verify_against_integers(generator, quantized)
            gate_result = gate(generator, model) if gate else None
            verification: dict[str, Any] = {
                "largest_difference": errors.max,
                "mean_difference": round(errors.mean, 4),
                "images": errors.images,
                "quality_gate": _gate_text(gate_result),
            }
            if gate_result:
                verification["label_accuracy_change"] = gate_result.change
                verification["label_accuracy_images"] = gate_result.images
            if measure:
                _log.info("measuring the quality of the images")
            info = replace(
                info,
                verification=verification,
                golden=golden_sample(generator),
                quality=measure(generator) if measure else model.quality,
            )
        size = _write(graph, info, file)
        ImageGenerator(path, provider="cpu", threads=1).close()  # checks the final metadata
    return ExportReport(
        path=output,
        precision=precision,
        size_bytes=size,
        parameters=parameter_count(model.generator),
        nodes=len(graph.graph.node),
        opset=opset,
        max_pixel_error=errors.max,
        mean_pixel_error=errors.mean,
        images_compared=errors.images,
        gate_result=gate_result,
        quality=info.quality,
        seconds=time.perf_counter() - started,
    )


def _write(graph: onnx.ModelProto, info: ModelInfo, file: BinaryIO) -> int:
    """Replace the file's content with the graph and its metadata; return the size in bytes."""
    onnx.helper.set_model_props(graph, info.to_metadata())
    content = add_checksum(graph.SerializeToString(deterministic=True))
    file.seek(0)
    file.truncate()
    file.write(content)
    file.flush()
    return len(content)


def model_info(model: Model, precision: str) -> ModelInfo:
    """Return the metadata that is known before verification, with a blank golden sample."""
    generator = model.generator
    return ModelInfo(
        class_names=model.class_names,
        noise_dim=generator.noise_dim,
        image_shape=generator.image_shape,
        dataset=model.dataset,
        precision=precision,
        weights_sha256=model.weights_sha256,
        recipe=model.recipe,
        training=_without_paths(model.training),
        versions={
            **model.training["versions"],
            "python": platform.python_version(),
            "cgan-export": cgan_export.__version__,
            "onnx": version("onnx"),
        },
        quality=model.quality,
        verification={},
        golden=Golden(REFERENCE_SEED, (0,), bytes(math.prod(generator.image_shape))),
        bit_exact=precision == "int8",
    )


def _without_paths(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a run without versions, and without paths of the machine it ran on."""
    facts = {
        key: _without_paths(value) if key == "started_from" else value
        for key, value in training.items()
        if key not in ("versions", "dataset_path", "data_dir", "recipe_path")
    }
    if training.get("dataset_path"):
        facts["dataset_is_folder"] = Path(training["dataset_path"]).is_absolute()
    if training.get("recipe_path"):
        facts["recipe_file"] = Path(training["recipe_path"]).name
    return facts


def _gate_text(result: GateResult | None) -> str:
    if result is None:
        return "not run"
    return "passed" if result.proven else "undecided"
