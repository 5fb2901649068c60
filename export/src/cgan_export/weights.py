"""Smaller weights, the same arithmetic.

Weights are stored as float16 or int8 and widened by nodes that onnxruntime folds when it opens the
file, so that every product is a float32 product, on processors of every kind. What is lost is what
rounding the weights loses, no more.
"""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

from cgan_export.errors import VerificationError

Narrow = tuple[list[onnx.TensorProto], list[onnx.NodeProto]]  # what stands for an initializer
LEAST = 16  # numbers: smaller tensors are not worth a node


def with_half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose float32 initializers are stored as float16.

    Raises:
        VerificationError: a weight is beyond float16's range.
    """
    return _rewritten(model, _half)


def with_int8_weights(model: onnx.ModelProto, scales: Mapping[str, Tensor]) -> onnx.ModelProto:
    """Return a copy with int8 weights where they were rounded to that, float16 elsewhere.

    Args:
        model: traced from a module after round_to_int8().
        scales: what that returned.

    Raises:
        VerificationError: a weight that becomes float16 is beyond its range.
    """

    def narrowed(tensor: onnx.TensorProto) -> Narrow:
        scale = scales.get(tensor.name)
        return _half(tensor) if scale is None else _int8(tensor, scale.numpy())

    return _rewritten(model, narrowed)


def _rewritten(
    model: onnx.ModelProto, narrowed: Callable[[onnx.TensorProto], Narrow]
) -> onnx.ModelProto:
    small = onnx.ModelProto()
    small.CopyFrom(model)
    initializers, nodes = [], []
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) >= LEAST:
            more, widening = narrowed(tensor)
            initializers += more
            nodes += widening
        else:
            initializers.append(tensor)
    del small.graph.initializer[:], small.graph.node[:]
    small.graph.initializer.extend(initializers)
    small.graph.node.extend([*nodes, *model.graph.node])
    return small


def _half(tensor: onnx.TensorProto) -> Narrow:
    name, weights = tensor.name, numpy_helper.to_array(tensor)
    if np.abs(weights).max() > np.finfo(np.float16).max:
        raise VerificationError(
            f"{name} holds weights that float16 cannot; export with --precision fp32"
        )
    stored = numpy_helper.from_array(weights.astype(np.float16), f"{name}_fp16")
    return [stored], [_cast(stored.name, name)]


def _int8(tensor: onnx.TensorProto, scale: NDArray[np.float32]) -> Narrow:
    name, weights = tensor.name, numpy_helper.to_array(tensor)
    stored = numpy_helper.from_array((weights / scale).round().astype(np.int8), f"{name}_int8")
    scales = numpy_helper.from_array(scale, f"{name}_scale")
    wide = f"{name}_wide"
    multiply = helper.make_node("Mul", [wide, scales.name], [name], f"scale_{name}")
    return [stored, scales], [_cast(stored.name, wide), multiply]


def _cast(source: str, target: str) -> onnx.NodeProto:
    return helper.make_node(
        "Cast", [source], [target], f"widen_{target}", to=onnx.TensorProto.FLOAT
    )
