"""Quantize a graph with ONNX Runtime, for networks that do not support exact integer sums.

The layers with constant weights are quantized: Conv, ConvTranspose without groups, Gemm and MatMul.
All other operators stay float32, so the images of two processors may differ by quantization steps.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from cgan_export.errors import VerificationError
from cgan_export.source.generator_source import GeneratorSource
from cgan_export.tracing.trace import clean, silence
from cgan_runtime.inference.session import import_onnxruntime
from cgan_runtime.model_file.contract import LABEL, NOISE
from cgan_runtime.noise import standard_normal
from cgan_training.errors import one_line

LAYERS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
CALIBRATION_IMAGES = 512  # at least; more if there are more labels
BATCH = 32  # calibration images per batch


def quantize_statically(model: onnx.ModelProto, source: GeneratorSource) -> onnx.ModelProto:
    """Return a model with int8 weights, one scale per channel, and uint8 activations.

    The ranges of the activations are measured on images of all labels with the runtime's noise.

    Args:
        model: the float32 graph, without metadata.
        source: the generator that the graph computes.

    Raises:
        VerificationError: ONNX Runtime cannot quantize the graph, or finds nothing to quantize.
    """
    import_onnxruntime()  # with telemetry off
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    count = max(CALIBRATION_IMAGES, source.classes)
    with tempfile.TemporaryDirectory() as folder, silence():
        path = Path(folder) / "quantized.onnx"
        try:
            quantize_static(
                model,
                path,
                _Calibration(source, count),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=LAYERS,
                nodes_to_exclude=_grouped_transposed_convolutions(model),
                per_channel=True,
                # x86 without VNNI adds pairs of products in 16 bits. With weights of 7 bits, the
                # sums cannot overflow.
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        except Exception as error:
            raise VerificationError(
                f"ONNX Runtime cannot quantize {source.name} to int8: {one_line(error)}; export "
                "with --precision fp16"
            ) from error
        quantized = onnx.load(path)
    if not any(node.op_type == "DequantizeLinear" for node in quantized.graph.node):
        raise VerificationError(
            f"{source.name} has no layers that int8 supports ({', '.join(LAYERS)} with constant "
            "weights); export with --precision fp16"
        )
    for tensor in quantized.graph.initializer:  # the contract allows raw bytes only
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    return clean(quantized)


def _grouped_transposed_convolutions(model: onnx.ModelProto) -> list[str]:
    """Return the names of the layers whose weights ONNX Runtime cannot quantize per channel."""
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "ConvTranspose"
        and any(each.name == "group" and each.i > 1 for each in node.attribute)
    ]


class _Calibration:
    """Yields batches of noise and labels, with the interface of CalibrationDataReader."""

    def __init__(self, source: GeneratorSource, count: int) -> None:
        noise = standard_normal(0, 0, count, source.noise_dim)
        labels = np.arange(count) % source.classes
        self._batches: Iterator[dict[str, NDArray[np.generic]]] = (
            {NOISE: noise[start : start + BATCH], LABEL: labels[start : start + BATCH]}
            for start in range(0, count, BATCH)
        )

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """Return the inputs of the next batch, or None after the last one."""
        return next(self._batches, None)
