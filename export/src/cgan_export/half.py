"""Half-precision weights: half the file, the same arithmetic.

Weights are stored as float16 and widened by a Cast that onnxruntime folds when it opens the file,
so every product is a float32 product, on processors with and without half-precision units.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cgan_export.errors import VerificationError

SUFFIX = "_fp16"
LEAST = 16  # numbers: smaller tensors are not worth a node


def with_half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose float32 initializers are stored as float16.

    Raises:
        VerificationError: a weight is beyond float16's range.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    casts = []
    for tensor in halved.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        weights = numpy_helper.to_array(tensor)
        if weights.size < LEAST:
            continue
        if np.abs(weights).max() > np.finfo(np.float16).max:
            raise VerificationError(
                f"{tensor.name} holds weights that float16 cannot; export with --precision fp32"
            )
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(weights.astype(np.float16), name + SUFFIX))
        casts.append(
            helper.make_node(
                "Cast", [name + SUFFIX], [name], f"widen_{name}", to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    return halved
