"""model.pt -> model.onnx: trace, describe, prove, and only then let the file exist."""

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
from cgan_export.int8.onnx_graph import to_int8_onnx
from cgan_export.int8.quantization import quantize
from cgan_export.passes.fp16 import store_weights_as_fp16
from cgan_export.tracing.trace import ContractGenerator, to_onnx
from cgan_export.verification import (
    Tolerance,
    golden_from_file,
    golden_with_torch,
    verify,
    verify_integers,
)
from cgan_runtime import ImageGenerator
from cgan_runtime.files import atomic_write
from cgan_runtime.model_file.checksum import add_checksum
from cgan_runtime.model_file.contract import NEWEST_OPSET, OPSET, ModelInfo
from cgan_training.model_file import Model, load_model
from cgan_training.networks import parameter_count

# What a precision may cost in pixels; in float32 only the order of sums differs.
TOLERANCES = {
    "fp32": Tolerance(1, 0.01),
    "fp16": Tolerance(1, 0.05),
    "int8": Tolerance(112, 2.0, batch=0),
}


@dataclass(frozen=True)
class Report:
    """What an export made."""

    path: Path
    precision: str
    size_bytes: int
    parameters: int  # of the trained network
    nodes: int  # of the graph, as it is stored
    opset: int
    largest_difference: int  # from torch, in grey levels of 255
    mean_difference: float  # likewise
    images_compared: int
    judgement: GateResult | None  # of its images beside the trained network's
    quality: Mapping[str, float]  # the figures that the metadata hold
    seconds: float


def export_model(
    model_path: Path,
    output: Path,
    *,
    precision: str = "fp32",
    opset: int = OPSET,
    gate: Callable[[Path, Model], GateResult] | None = None,
    measure: Callable[[Path, Model], dict[str, float]] | None = None,
) -> Report:
    """Export a trained generator to one ONNX file that follows the model contract.

    Args:
        model_path: a model.pt, or the run directory that holds one.
        output: the file to write; it appears only after it was proven.
        precision: "fp32"; "fp16", which halves the weights alone; "int8", which quarters them and
            multiplies in integers.
        opset: of ONNX's operators, 19 to 21.
        gate: raises VerificationError where the exported file draws worse than the trained
            network; quality_gate.compare_accuracy() is one.
        measure: gives the quality figures of the exported file, by name, for its metadata;
            without it they are those that model.pt holds.

    Raises:
        ExportError: there is no such precision or opset.
        cgan_training.errors.ModelFileError: the model cannot be read.
        cgan_runtime.OutputError: the output cannot be written.
        VerificationError: the file does not draw what the trained network draws.
    """
    if precision not in TOLERANCES:
        raise ExportError(f"no precision {precision!r}; choose {', '.join(TOLERANCES)}")
    if opset not in range(OPSET, NEWEST_OPSET + 1):
        raise ExportError(f"opset is {opset}; choose {OPSET} to {NEWEST_OPSET}")
    began = time.perf_counter()
    model = load_model(model_path)
    module = ContractGenerator(model.generator).eval()
    quantized = quantize(module) if precision == "int8" else None
    graph = to_int8_onnx(quantized, opset) if quantized else to_onnx(module, opset)
    if precision == "fp16":
        graph = store_weights_as_fp16(graph)
    info = _info(model, precision)
    with atomic_write(output) as file:
        path = Path(file.name)
        _write(graph, info, file)
        parity = verify(path, model, TOLERANCES[precision])
        if quantized:
            verify_integers(path, quantized)
        judgement = None if gate is None else gate(path, model)
        # The golden images are the file's own: rounded weights draw other pixels than torch.
        info = replace(info, golden=golden_from_file(path))
        proven: dict[str, Any] = {
            "largest_difference": parity.largest_difference,
            "mean_difference": round(parity.mean_difference, 4),
            "images": parity.images,
            "quality_gate": "passed" if judgement else "not asked for",
        }
        if judgement:
            proven["label_accuracy_change"] = judgement.change
        info = replace(info, verification=proven)
        if measure is not None:
            info = replace(info, quality=measure(path, model))
        size = _write(graph, info, file)
        ImageGenerator(path, provider="cpu").close()  # what it says of itself can be read
    return Report(
        path=output,
        precision=precision,
        size_bytes=size,
        parameters=parameter_count(model.generator),
        nodes=len(graph.graph.node),
        opset=opset,
        largest_difference=parity.largest_difference,
        mean_difference=parity.mean_difference,
        images_compared=parity.images,
        judgement=judgement,
        quality=info.quality,
        seconds=time.perf_counter() - began,
    )


def _write(graph: onnx.ModelProto, info: ModelInfo, file: BinaryIO) -> int:
    """Write the graph with its metadata over what the file holds; return how many bytes."""
    onnx.helper.set_model_props(graph, info.to_metadata())
    content = add_checksum(graph.SerializeToString(deterministic=True))
    file.seek(0)
    file.truncate()
    file.write(content)
    file.flush()
    return len(content)


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
        verification={},
        golden=golden_with_torch(model),
    )
