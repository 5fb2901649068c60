"""Find the first node at which an exported graph differs from the generator in PyTorch.

This runs only after a failed verification. It checks the steps of the export in their order: the
passes before the trace, the trace, the pass to fp16 or int8, and ONNX Runtime's optimizations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cgan_export.passes.fold_batchnorm import fold_batch_norm
from cgan_export.source.generator_source import GeneratorSource, to_pixels
from cgan_export.tracing.networks import RewrittenGenerator, TraceableGenerator
from cgan_export.tracing.trace import export_to_onnx, traced_values
from cgan_runtime import ImageGenerator
from cgan_runtime.inference.session import import_onnxruntime
from cgan_runtime.model_file.contract import IMAGE, LABEL, NOISE, REFERENCE_SEED
from cgan_runtime.noise import standard_normal
from cgan_training.networks import Generator

Values = Mapping[str, NDArray[Any]]
# Values count as equal up to these errors, relative to the largest value of their tensor.
FLOAT_ERROR = 1e-3
PRECISION_ERRORS = {"fp16": 0.02, "int8": 0.25}  # compared with the graph in fp32
PIXEL_ERROR = 1.0  # pixels count as equal up to this error, on the scale 0 to 255


@dataclass(frozen=True)
class DivergenceSearch:
    """Finds where the values of images first diverge, for verify_against_torch()."""

    source: GeneratorSource  # the generator in PyTorch
    network: TraceableGenerator  # the generator after the passes before the trace
    graph: onnx.ModelProto  # the exported graph
    precision: str
    exported: ImageGenerator  # the exported file

    def describe(self, labels: list[int], start: int) -> str:
        """Return ": the values first diverge ..." for an error message.

        Return an empty text if the place cannot be found.

        Args:
            labels: the labels of images that differ.
            start: index of the first image.
        """
        try:
            where = self._find(labels, start)
        except Exception:  # noqa: BLE001 - it must not replace the error of the verification
            return ""
        return f": the values first diverge {where}" if where else ""

    def _find(self, labels: list[int], start: int) -> str:
        source, network, graph = self.source, self.network, self.graph
        numbers = standard_normal(REFERENCE_SEED, start, len(labels), source.noise_dim)
        noise, label = torch.from_numpy(numbers), torch.tensor(labels)
        with torch.inference_mode():
            images = source.generate(noise, label).numpy()
            pixels = to_pixels(network(noise, label), (0.0, network.span)).clamp(0, 255)
            if _pixels_differ(pixels.numpy(), images):
                return f"in {_diverging_step(source.generator, network, noise, label)}"
        opset = next(each.version for each in graph.opset_import if not each.domain)
        is_lossy = self.precision in PRECISION_ERRORS
        traced = export_to_onnx(network, opset) if is_lossy else graph
        values = graph_values(traced, noise, label)
        expected = traced_values(network, opset, noise, label)
        node = _first_diverging_node(traced, expected, values, FLOAT_ERROR)
        if not node and _pixels_differ(values[IMAGE], images):
            node = f"{IMAGE} (QuantizeLinear)"
        if node:
            return f"at the node {node}"
        if is_lossy:
            lossy = graph_values(graph, noise, label)
            node = _first_diverging_node(graph, values, lossy, PRECISION_ERRORS[self.precision])
            if node:
                return f"in the pass to {self.precision}, at the node {node}"
            if _pixels_differ(lossy[IMAGE], images):
                return f"in the pass to {self.precision}"
        exported = self.exported.generate(labels, seed=REFERENCE_SEED, start=start)
        return "in ONNX Runtime's optimizations" if _pixels_differ(exported, images) else ""


def graph_values(graph: onnx.ModelProto, noise: Tensor, label: Tensor) -> dict[str, NDArray[Any]]:
    """Return all tensors that ONNX Runtime computes without optimizations, by name."""
    runtime, model = import_onnxruntime(), onnx.ModelProto()
    model.CopyFrom(graph)
    names = [name for node in model.graph.node for name in node.output if name]
    known = {each.name for each in model.graph.output}
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in known
    )
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs = [each.name for each in session.get_outputs()]
    arrays = session.run(outputs, {NOISE: noise.numpy(), LABEL: label.numpy()})
    return dict(zip(outputs, arrays, strict=True))


def _diverging_step(
    generator: nn.Module, network: TraceableGenerator, noise: Tensor, label: Tensor
) -> str:
    """Return which of the steps before the trace changes the images."""
    if not isinstance(generator, Generator) or not isinstance(network, RewrittenGenerator):
        return "the scaling of value_range"
    inputs, folded = generator.inputs(noise, label), fold_batch_norm(generator.layers)
    if _differ(nn.Sequential(*folded)(inputs), generator.layers(inputs)):
        return "the pass fold_batchnorm"
    if _differ(network.hidden(noise, label), folded[0](inputs)):
        return "the pass label_table"
    return "the pass sigmoid_head"


def _pixels_differ(pixels: NDArray[Any], expected: NDArray[np.uint8]) -> bool:
    return bool(np.abs(pixels.astype(np.float32) - expected).max() > PIXEL_ERROR)


def _differ(values: Tensor, expected: Tensor) -> bool:
    return _exceeds(values.numpy(), expected.numpy(), FLOAT_ERROR)


def _first_diverging_node(
    graph: onnx.ModelProto, expected: Values, values: Values, max_error: float
) -> str:
    """Return the first node whose values diverge, or an empty text if there is none."""
    for node in graph.graph.node:
        for name in node.output:
            if name in expected and _exceeds(values[name], expected[name], max_error):
                # torch.onnx puts a dot into the names of weights only, as in first.weight.
                weight = next((f" with {each}" for each in node.input if "." in each), "")
                return f"{name} ({node.op_type}{weight})"
    return ""


def _exceeds(values: NDArray[Any], expected: NDArray[Any], max_error: float) -> bool:
    """Return whether values differ by more than max_error times the largest expected value."""
    if values.shape != expected.shape:
        return True
    expected = expected.astype(np.float64)
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=1e-6)
    return not np.allclose(values, expected, rtol=0, atol=max_error * largest, equal_nan=True)
