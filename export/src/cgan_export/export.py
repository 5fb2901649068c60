"""Export a generator to one ONNX file: check, trace, add metadata, verify, then write the file.

Each long step is logged before it begins.
"""

import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import onnx
from torch import nn

from cgan_export.errors import ExportError, VerificationError
from cgan_export.evaluation.quality_gate import GateResult
from cgan_export.int8.onnx_graph import export_to_int8_onnx
from cgan_export.int8.quantization import QuantizedGenerator, quantize
from cgan_export.int8.static import quantize_statically
from cgan_export.metadata import model_info, verification_results
from cgan_export.passes.fp16 import store_weights_as_fp16
from cgan_export.source.generator_source import (
    TANH_RANGE,
    GeneratorSource,
    ValueRange,
    source_of_model,
)
from cgan_export.source.module_source import source_of_module
from cgan_export.tracing.networks import (
    RewrittenGenerator,
    TraceableGenerator,
    traceable_generator,
)
from cgan_export.tracing.trace import export_to_onnx
from cgan_export.verification.divergence import DivergenceSearch
from cgan_export.verification.tolerances import (
    STATIC_INT8_TOLERANCE,
    TOLERANCES,
    UNMODIFIED_TOLERANCES,
)
from cgan_export.verification.verify import (
    Tolerance,
    check_graph,
    golden_sample,
    verify_against_integers,
    verify_against_torch,
)
from cgan_runtime import ImageGenerator, ModelError
from cgan_runtime.files import atomic_write
from cgan_runtime.model_file.checksum import add_checksum
from cgan_runtime.model_file.contract import MAX_OPSET, OPSET, ModelInfo
from cgan_training.model_file import load_model
from cgan_training.networks import parameter_count

Gate = Callable[[ImageGenerator, GeneratorSource], GateResult]
Measure = Callable[[ImageGenerator], dict[str, float]]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportReport:
    """Result of an export."""

    path: Path
    precision: str
    size_bytes: int
    bit_exact: bool  # whether every processor generates the same bytes
    parameters: int  # of the network
    nodes: int  # of the stored graph
    opset: int
    max_pixel_error: int  # compared with PyTorch, on the scale 0 to 255
    mean_pixel_error: float
    images_compared: int
    gate_result: GateResult | None
    quality: Mapping[str, float]  # the quality metrics in the file's metadata, by key
    seconds: float


def export_generator(
    module: nn.Module,
    output: Path | str,
    *,
    noise_dim: int,
    class_names: Sequence[str],
    value_range: ValueRange = TANH_RANGE,
    precision: str = "fp32",
    opset: int = OPSET,
    name: str | None = None,
    dataset: str = "",
    gate: Gate | None = None,
    measure: Measure | None = None,
    threads: int | None = None,
) -> ExportReport:
    """Export any generator to one ONNX file that follows the model contract.

    Args:
        module: forward(noise, label) takes float32 [batch, noise_dim] and int64 [batch], and
            returns float32 [batch, channels, height, width] with 1 or 3 channels. It must be in
            eval mode, in float32 and on the CPU, and it is not changed. call_forms.py lists the
            other forms of noise and label that it may take.
        output: the file to write. It appears only after verification.
        noise_dim: length of the noise vector, which is standard normal.
        class_names: one name per label.
        value_range: the values of black and white in the module's images. Values outside this
            range are clipped.
        precision: as in export_model(). int8 uses ONNX Runtime's static quantization, unless the
            module is a generator of cgan-train.
        opset: ONNX opset version, 19 to 21.
        name: name of the module for messages and metadata, by default "my_module:MyClass".
        dataset: name of the dataset that the module was trained on, for the metadata.
        gate: as in export_model().
        measure: as in export_model().
        threads: as in export_model().

    Raises:
        ExportError: an argument or the module is not supported.
        cgan_runtime.OutputError: the output cannot be written.
        VerificationError: the file does not reproduce the images of the module.
    """
    _check_options(precision, opset)
    name = name or f"{type(module).__module__}:{type(module).__qualname__}"
    source = source_of_module(
        module,
        name=name,
        noise_dim=noise_dim,
        class_names=class_names,
        value_range=value_range,
        dataset=dataset,
    )
    return export_source(
        source,
        Path(output),
        precision=precision,
        opset=opset,
        gate=gate,
        measure=measure,
        threads=threads,
    )


def export_model(
    model_path: Path,
    output: Path,
    *,
    precision: str = "fp32",
    opset: int = OPSET,
    gate: Gate | None = None,
    measure: Measure | None = None,
    threads: int | None = None,
) -> ExportReport:
    """Export a trained generator to one ONNX file that follows the model contract.

    Args:
        model_path: a model.pt, or the run directory that contains one.
        output: the file to write. It appears only after verification.
        precision: "fp32"; "fp16", which halves the size of the weights and computes in float32;
            or "int8", which quarters their size and multiplies integers.
        opset: ONNX opset version, 19 to 21.
        gate: compares the exported file with the trained network and raises VerificationError if
            the images are worse, for example quality_gate.compare_accuracy.
        measure: returns the quality metrics of the exported file for its metadata. Without it,
            the file contains no quality metrics.
        threads: number of threads of ONNX Runtime; None uses one for each core.

    Raises:
        ExportError: the precision or the opset is not supported, or a generator of your own cannot
            be traced or converted to ONNX.
        cgan_training.errors.ModelFileError: the model cannot be read.
        cgan_runtime.OutputError: the output cannot be written.
        VerificationError: the file does not reproduce the images of the trained network, the
            network does not support the precision, or the gate rejects the file.
    """
    _check_options(precision, opset)
    return export_source(
        source_of_model(load_model(model_path), str(model_path)),
        output,
        precision=precision,
        opset=opset,
        gate=gate,
        measure=measure,
        threads=threads,
    )


def export_source(
    source: GeneratorSource,
    output: Path,
    *,
    precision: str,
    opset: int = OPSET,
    gate: Gate | None = None,
    measure: Measure | None = None,
    threads: int | None = None,
) -> ExportReport:
    """Export a model or module that is already loaded; see export_model()."""
    started = time.perf_counter()
    network = _traceable_network(source)
    quantized = _quantize_exactly(network) if precision == "int8" else None
    _logger.info("tracing %s to an %s graph", source.name, precision)
    if quantized:
        graph, tolerance = export_to_int8_onnx(quantized, opset), TOLERANCES["int8"]
    else:
        graph, tolerance = _graph_and_tolerance(source, network, precision, opset)
    info = model_info(source, precision, bit_exact=quantized is not None)
    with atomic_write(output) as file:
        path = Path(file.name)
        _write(graph, info, file)
        check_graph(path)
        with _open(path, source.name, threads) as generator:
            _logger.info("verifying the images of the file")
            search = DivergenceSearch(source, network, graph, precision, generator)
            errors = verify_against_torch(generator, source, tolerance, search.describe)
            if quantized:
                verify_against_integers(generator, quantized)
            gate_result = gate(generator, source) if gate else None
            if measure:
                _logger.info("measuring the quality of the images")
            info = replace(
                info,
                verification=verification_results(errors, gate_result),
                golden=golden_sample(generator),
                quality=measure(generator) if measure else {},
            )
        size = _write(graph, info, file)
        ImageGenerator(path, provider="cpu", threads=1).close()  # checks the final metadata
    return ExportReport(
        path=output,
        precision=precision,
        size_bytes=size,
        bit_exact=info.bit_exact,
        parameters=parameter_count(source.generator),
        nodes=len(graph.graph.node),
        opset=opset,
        max_pixel_error=errors.max,
        mean_pixel_error=errors.mean,
        images_compared=errors.images,
        gate_result=gate_result,
        quality=info.quality,
        seconds=time.perf_counter() - started,
    )


def _check_options(precision: str, opset: int) -> None:
    if precision not in TOLERANCES:
        raise ExportError(f"unknown precision {precision!r}; choose from {', '.join(TOLERANCES)}")
    if opset not in range(OPSET, MAX_OPSET + 1):
        raise ExportError(f"opset {opset} is not supported; choose {OPSET} to {MAX_OPSET}")


# The caches let the exports of one source in several precisions share its network and its trace.
@lru_cache(maxsize=1)
def _traceable_network(source: GeneratorSource) -> TraceableGenerator:
    return traceable_generator(source)


@lru_cache(maxsize=1)
def _trace(network: TraceableGenerator, opset: int) -> onnx.ModelProto:
    return export_to_onnx(network, opset)


def _quantize_exactly(network: TraceableGenerator) -> QuantizedGenerator | None:
    """Quantize a network with exact integer sums, or return None if a layer prevents them."""
    if not isinstance(network, RewrittenGenerator):
        return None
    _logger.info("quantizing to int8")
    try:
        return quantize(network)
    except VerificationError as error:
        _logger.info("note: %s", error.problem)
        return None


def _graph_and_tolerance(
    source: GeneratorSource, network: TraceableGenerator, precision: str, opset: int
) -> tuple[onnx.ModelProto, Tolerance]:
    """Return the graph in fp32, fp16 or ONNX Runtime's int8, and the tolerance of its file."""
    graph = copy.deepcopy(_trace(network, opset))
    if precision == "int8":
        _logger.info("quantizing to int8 with ONNX Runtime, which is not bit-exact")
        _logger.info(
            "note: int8 makes the file smaller, but it may be slower than fp32; compare the files "
            "with cgan-check"
        )
        return quantize_statically(graph, source), STATIC_INT8_TOLERANCE
    if precision == "fp16":
        graph = store_weights_as_fp16(graph)
    is_rewritten = isinstance(network, RewrittenGenerator)
    return graph, (TOLERANCES if is_rewritten else UNMODIFIED_TOLERANCES)[precision]


def _open(path: Path, name: str, threads: int | None) -> ImageGenerator:
    """Open the exported file; raise VerificationError if the runtime does not support its graph."""
    try:
        return ImageGenerator(path, provider="cpu", threads=threads)
    except ModelError as error:
        raise VerificationError(str(error).replace(str(path), f"the graph of {name}")) from error


def _write(graph: onnx.ModelProto, info: ModelInfo, file: BinaryIO) -> int:
    """Replace the file's content with the graph and its metadata; return the size in bytes."""
    onnx.helper.set_model_props(graph, info.to_metadata())
    content = add_checksum(graph.SerializeToString(deterministic=True))
    file.seek(0)
    file.truncate()
    file.write(content)
    file.flush()
    return len(content)
