"""Type and shape inference of a graph, and the cost of its nodes.

web/src/model/validation/graph_inference.js is a port of this module; change both.
"""

from collections.abc import Sequence
from struct import unpack_from
from typing import Any, NamedTuple

from cgan_runtime.model_file.contract import MAX_BATCH
from cgan_runtime.model_file.messages import error_message, quoted
from cgan_runtime.model_file.protobuf import Message
from cgan_runtime.model_file.validation.math_rules import MATH_RULES
from cgan_runtime.model_file.validation.node_reading import (
    Constant,
    UnsupportedError,
    check_shape,
    infer_types,
    read_attributes,
    reject,
    variables_of,
)
from cgan_runtime.model_file.validation.rules import (
    ELEMENT_BYTES,
    FLOAT,
    INT64,
    MAX_ELEMENTS,
    MAX_IMAGE_ELEMENTS,
    MAX_IMAGE_MULTIPLICATIONS,
    MAX_MULTIPLICATIONS,
    OPERATORS,
    SHAPE_VARIABLES,
    TYPE_NAMES,
)
from cgan_runtime.model_file.validation.shape_values import values_of
from cgan_runtime.model_file.validation.spatial_rules import SPATIAL_RULES
from cgan_runtime.model_file.validation.symbolic import (
    MAX_KNOWN_VALUES,
    Node,
    NodeResult,
    ShapeError,
    Size,
    Tensor,
    check_independent,
)
from cgan_runtime.model_file.validation.tensor_rules import TENSOR_RULES

SHAPE_RULES = MATH_RULES | SPATIAL_RULES | TENSOR_RULES


class TensorInfo(NamedTuple):
    """Everything that inference finds out about a tensor of the graph."""

    tensor: Tensor
    type: int
    is_constant: bool = False  # whether onnxruntime computes it when it opens the file
    values: list[Size] | None = None  # values of a small int64 tensor, if they can be inferred
    start: int = -1  # position of an initializer's values in the file


class _Budget:
    """Elements or multiplications: fixed + per_image * batch size, limited per run and image."""

    def __init__(self, limit: int, image_limit: int) -> None:
        self._limit, self._image_limit = limit, image_limit
        self.fixed = self.per_image = 0

    @property
    def max_batch(self) -> int:
        """The largest batch size within the limits, at most MAX_BATCH."""
        if self.per_image > self._image_limit:
            return 0
        free = self._limit - self.fixed
        if free >= self.per_image * MAX_BATCH:
            return MAX_BATCH
        return free // self.per_image if self.per_image else 0


class GraphInference:
    """Infers the types and shapes of a graph's tensors and adds up the cost of its nodes."""

    def __init__(self, content: bytes) -> None:
        self.tensors: dict[str, TensorInfo] = {}  # by name
        self._content = content
        self._elements = _Budget(MAX_ELEMENTS, MAX_IMAGE_ELEMENTS)
        self._multiplications = _Budget(MAX_MULTIPLICATIONS, MAX_IMAGE_MULTIPLICATIONS)

    @property
    def max_batch(self) -> int:
        """The largest number of images of one session.run, a power of two."""
        images = min(self._elements.max_batch, self._multiplications.max_batch)
        return 1 << (images.bit_length() - 1)

    def add(self, name: str, info: TensorInfo) -> None:
        """Add an input, an initializer or the output of a node."""
        if not name:
            reject("nameless")
        if name in self.tensors:
            reject("defined twice", name=quoted(name))
        check_shape(name, info.tensor.shape)
        if info.type not in TYPE_NAMES:
            reject("tensor type", name=quoted(name), type=info.type)
        self.tensors[name] = info
        self._charge(info.tensor.elements, 0, batched=info.tensor.batched)

    def add_initializer(self, tensor: Message) -> None:
        """Add an initializer; reject it if its number of bytes does not match its shape."""
        name, shape = tensor.get("name", ""), Tensor(tuple(tensor["dims"]))
        start, end = tensor.get("raw_data", (0, 0))
        info = TensorInfo(shape, tensor.get("data_type", 0), is_constant=True, start=start)
        self.add(name, info)
        if end - start != ELEMENT_BYTES[info.type] * shape.elements:
            reject("tensor size", name=quoted(name))

    def add_node(self, node: Message) -> None:
        """Add a node, whose inputs must have been added before."""
        name, domain = node.get("op_type", ""), node.get("domain", "")
        if domain or name not in OPERATORS:
            where = f" of domain {quoted(domain)}" if domain else ""
            raise UnsupportedError(error_message("operator", operator=quoted(name), domain=where))
        input_names, outputs = node["input"], node["output"]
        operator = OPERATORS[name]
        attributes = read_attributes(node["attribute"], name, operator)
        variables = variables_of(operator, len(input_names))
        if variables is None:
            reject("counts", operator=name, inputs=len(input_names), outputs=len(outputs))
        inputs = [
            self._input(input_name, name, is_optional=index >= operator.required)
            for index, input_name in enumerate(input_names)
        ]
        types = [info and info.type for info in inputs]
        type_of = infer_types(name, operator, variables, types)
        if operator.type_attribute is None:
            output_type = type_of[operator.output]
        else:
            value = attributes[operator.type_attribute]
            output_type = value.type if isinstance(value, Constant) else value
        try:
            result, values = self._infer(name, inputs, variables, attributes, output_type)
        except ShapeError as error:
            output = quoted(outputs[0] if outputs else "")
            text = error_message(str(error), operator=name, name=output)
            raise UnsupportedError(text) from error
        if len(outputs) != len(result.outputs):
            reject("counts", operator=name, inputs=len(input_names), outputs=len(outputs))
        is_constant = all(info is None or info.is_constant for info in inputs)
        self._charge_node(result, is_constant=is_constant)
        for output, tensor in zip(outputs, result.outputs, strict=True):
            self.add(output, TensorInfo(tensor, output_type, is_constant, values))

    def _infer(
        self,
        operator: str,
        inputs: Sequence[TensorInfo | None],
        variables: str,
        attributes: dict[str, Any],
        output_type: int,
    ) -> tuple[NodeResult, list[Size] | None]:
        """Return the result of a node, and the values of its output if they are known."""
        values = [self._values_of(*pair) for pair in zip(inputs, variables, strict=True)]
        node = Node([info and info.tensor for info in inputs], attributes, values)
        result = SHAPE_RULES[OPERATORS[operator].rule](node)
        output = values_of(operator, node, result.outputs[0]) if output_type == INT64 else None
        if output is None:
            # Only shapes may depend on the batch size. Reject nodes that compute values from it.
            for variable, sizes in zip(variables, values, strict=True):
                if sizes and variable not in SHAPE_VARIABLES:
                    check_independent(all(size.per_image == 0 for size in sizes))
        return result, output

    def _input(self, name: str, operator: str, *, is_optional: bool) -> TensorInfo | None:
        if is_optional and not name:
            return None
        if name not in self.tensors:
            reject("undefined input", operator=operator, name=quoted(name))
        return self.tensors[name]

    def _values_of(self, info: TensorInfo | None, variable: str) -> Sequence[Any] | None:
        """Return the values of a tensor if it is small and a shape may depend on them."""
        if info is None:
            return None
        if info.values is not None or info.start < 0:
            return info.values
        count = info.tensor.elements
        if count > MAX_KNOWN_VALUES:
            return None
        if info.type == INT64:
            return [Size(value) for value in unpack_from(f"<{count}q", self._content, info.start)]
        if info.type == FLOAT and variable == "R":  # the scales of Resize
            return unpack_from(f"<{count}f", self._content, info.start)
        return None

    def _charge_node(self, result: NodeResult, *, is_constant: bool) -> None:
        """Add the cost of a node, without its outputs."""
        if is_constant:
            # onnxruntime folds constants when it opens the file, and keeps two copies. A folded
            # multiplication counts MAX_BATCH times: MAX_BATCH - 1 times here and once below. So
            # folding may need at most 1 / MAX_BATCH of the multiplications that a run may need.
            elements = sum(tensor.elements for tensor in result.outputs)
            self._charge(elements, result.multiplications * (MAX_BATCH - 1), batched=False)
        batched = any(tensor.batched for tensor in result.outputs)
        self._charge(result.temporary_per_image, result.multiplications, batched=batched)
        self._charge(result.temporary_fixed, 0, batched=False)

    def _charge(self, elements: int, multiplications: int, *, batched: bool) -> None:
        """Add a cost, per image if `batched`; reject the graph if its cost exceeds a limit."""
        if batched:
            self._elements.per_image += elements
            self._multiplications.per_image += multiplications
        else:
            self._elements.fixed += elements
            self._multiplications.fixed += multiplications
        if min(self._elements.max_batch, self._multiplications.max_batch) < 1:
            reject(
                "too much work",
                elements=f"{self._elements.fixed + self._elements.per_image:,}",
                multiplications=(
                    f"{self._multiplications.fixed + self._multiplications.per_image:,}"
                ),
            )
