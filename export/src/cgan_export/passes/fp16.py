"""Half the weights' bytes, the same arithmetic.

Weights are stored as float16 and widened by nodes that onnxruntime folds when it opens the file, so
that every product is a float32 product, on processors of every kind.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cgan_export.errors import VerificationError

LEAST = 16  # numbers: smaller tensors are not worth a node
# The first layer stays float32: what it loses grows in all the others, to two grey levels.
WHOLE = ("noise_weight", "label_table")


def store_weights_as_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose float32 weights, but the first layer's, are stored as float16.

    Raises:
        VerificationError: a weight is beyond float16's range.
    """
    small = onnx.ModelProto()
    small.CopyFrom(model)
    del small.graph.initializer[:], small.graph.node[:]
    for tensor in model.graph.initializer:
        small_or_whole = np.prod(tensor.dims) < LEAST or tensor.name in WHOLE
        if tensor.data_type != onnx.TensorProto.FLOAT or small_or_whole:
            small.graph.initializer.append(tensor)
            continue
        weights = numpy_helper.to_array(tensor)
        if np.abs(weights).max() > np.finfo(np.float16).max:
            raise VerificationError(
                f"{tensor.name} holds weights that float16 cannot; export with --precision fp32"
            )
        stored = numpy_helper.from_array(weights.astype(np.float16), f"{tensor.name}_fp16")
        small.graph.initializer.append(stored)
        small.graph.node.append(
            helper.make_node(
                "Cast",
                [stored.name],
                [tensor.name],
                f"widen_{tensor.name}",
                to=onnx.TensorProto.FLOAT,
            )
        )
    small.graph.node.extend(model.graph.node)
    return small
