"""Nodes for tests of every operator, on tensors that contain the batch in different axes."""

from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from model_graphs import add_node, content_of, validate
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from cgan_runtime.model_file.contract import LABEL, NOISE
from cgan_runtime.model_file.validation.graph_validation import validate_graph
from cgan_runtime.model_file.validation.symbolic import Tensor

CLASSES, NOISE_DIM = 10, 6
ONE = numpy_helper.from_array(np.ones(1, np.float32))


def weights(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Return random numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def int64(*values: Any) -> NDArray[np.int64]:
    return np.array(values, np.int64)


class Case(NamedTuple):
    """A node, whose inputs are names or arrays."""

    operator: str
    inputs: list[Any]
    attributes: dict[str, Any]
    outputs: int = 1
    opset: int = 19


def add_tensors(model: onnx.ModelProto) -> None:
    """Add tensors of images: with the batch first, second, last, or merged with other axes."""

    def named(name: str, operator: str, *inputs: Any, **attributes: Any) -> None:
        add_node(model, operator, *inputs, **attributes)
        model.graph.node[-1].output[0] = name

    named("flat", "Gemm", NOISE, weights(NOISE_DIM, 48))
    named("map", "Reshape", "flat", int64(-1, 4, 4, 3))  # [n, 4, 4, 3]
    named("tokens", "Reshape", "flat", int64(-1, 4, 12))  # [n, 4, 12]
    named("rows", "Transpose", "map", perm=[1, 0, 2, 3])  # [4, n, 4, 3]
    named("merged", "Reshape", "rows", int64(-1, 3))  # [4 * n * 4, 3]
    named("columns", "Transpose", "flat", perm=[1, 0])  # [48, n]
    named("flags", "Greater", "map", np.float32(0))  # [n, 4, 4, 3], bool
    named("map sizes", "Shape", "map")  # n, 4, 4, 3
    named("even sizes", "Mul", "map sizes", int64(4))
    named("column", "Unsqueeze", LABEL, int64(1))  # [n, 1]
    named("label int32", "Cast", "column", to=TensorProto.INT32)  # [n, 1]
    named("batch size", "Shape", LABEL)
    named("grid size", "Concat", "batch size", int64(3, 2, 2), axis=0)
    named("grid", "Expand", weights(3, 2, 2), "grid size")
    named("resize sizes", "Concat", "batch size", int64(4, 9, 5), axis=0)
    named("rank 5", "Unsqueeze", "map", int64(0))
    named("argmax", "ArgMax", "map", axis=1)
    named("zeros size", "Concat", "batch size", int64(10), axis=0)
    named("zeros", "ConstantOfShape", "zeros size")
    named("column size", "Shape", "column")
    named("ones", "ConstantOfShape", "column size", value=ONE)
    named("two rows", "Slice", "rows", int64(1), int64(3))


def add_case(model: onnx.ModelProto, case: Case) -> list[str]:
    """Add a node; return the names of its outputs."""
    model.opset_import[0].version = case.opset
    add_tensors(model)
    add_node(model, case.operator, *case.inputs, outputs=case.outputs, **case.attributes)
    return list(model.graph.node[-1].output)


def check_against_onnxruntime(model: onnx.ModelProto, names: list[str]) -> None:
    """Check inferred shapes at several batch sizes, and that each image equals one generated alone.

    Raises:
        AssertionError: validation is wrong about a tensor.
        Exception: onnxruntime cannot open or run the file.
    """
    tensors = validate_graph(content_of(model)).tensors
    validate(model)
    for name in names:
        model.graph.output.add(name=name)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    random = np.random.default_rng(1)
    noise = random.normal(size=(33, NOISE_DIM)).astype(np.float32)
    labels = random.integers(0, CLASSES, 33)
    singles = [
        session.run(names, {NOISE: noise[i : i + 1], LABEL: labels[i : i + 1]}) for i in range(2)
    ]
    for count in (1, 2, 33):
        results = session.run(names, {NOISE: noise[:count], LABEL: labels[:count]})
        for index, (name, result) in enumerate(zip(names, results, strict=True)):
            tensor, values = tensors[name].tensor, tensors[name].values
            assert result.shape == tensor.shape_for(count), (name, count)
            if values is not None:
                expected = [size.fixed + size.per_image * count for size in values]
                assert result.ravel().tolist() == expected
                continue
            for image in range(min(count, 2)):
                expected_image = singles[image][index]
                actual = image_of(result, tensor, image)
                np.testing.assert_allclose(actual, expected_image, rtol=1e-3, atol=1e-3)


def image_of(result: NDArray[Any], tensor: Tensor, image: int) -> NDArray[Any]:
    """Return the part of a tensor that belongs to one image, or all of it if it has no batch."""
    axis = tensor.batch_axis
    if axis is None:
        return result if tensor.elements == result.size else result[:0]
    before = result.shape[:axis]
    count = result.shape[axis] // tensor.shape[axis]
    parts = result.reshape(*before, tensor.outer, count, -1, *result.shape[axis + 1 :])
    part: NDArray[Any] = parts.take(image, axis + 1).reshape(tensor.shape)
    return part
