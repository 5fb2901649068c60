"""Storage of the weights as float16, which halves the file; the arithmetic stays float32.

Matches float32 tensors that have at least MIN_ELEMENTS elements. Cast nodes convert them back to
float32. ONNX Runtime folds the Cast nodes when it opens the file, so every matrix multiplication is
in float32 on all processors.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cgan_export.errors import VerificationError
from cgan_runtime.model_file.contract import LABEL, NOISE

MIN_ELEMENTS = 16  # below this, the Cast node takes more bytes than float16 saves


def store_weights_as_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model that stores its weights as float16.

    The weights of the nodes that take noise or label stay float32, because their rounding errors
    would grow to pixel errors of 2.

    Raises:
        VerificationError: a weight exceeds the range of float16.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.initializer[:], copy.graph.node[:]
    first_layer = {
        name for node in model.graph.node if {NOISE, LABEL} & set(node.input) for name in node.input
    }
    for tensor in model.graph.initializer:
        if (
            tensor.data_type != onnx.TensorProto.FLOAT
            or np.prod(tensor.dims) < MIN_ELEMENTS
            or tensor.name in first_layer
        ):
            copy.graph.initializer.append(tensor)
            continue
        weights = numpy_helper.to_array(tensor)
        if np.abs(weights).max() > np.finfo(np.float16).max:
            raise VerificationError(
                f"the weights {tensor.name} exceed the range of float16; "
                "export with --precision fp32"
            )
        stored = numpy_helper.from_array(weights.astype(np.float16), f"{tensor.name}_fp16")
        copy.graph.initializer.append(stored)
        copy.graph.node.append(
            helper.make_node(
                "Cast",
                [stored.name],
                [tensor.name],
                f"widen_{tensor.name}",
                to=onnx.TensorProto.FLOAT,
            )
        )
    copy.graph.node.extend(model.graph.node)
    return copy
