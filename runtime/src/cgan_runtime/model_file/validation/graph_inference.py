"""Type and shape inference of a graph, and the cost of its nodes.

web/src/inference.js is the same for the web page.
"""

from collections.abc import Sequence
from struct import unpack_from
from typing import Any, NamedTuple

from cgan_runtime.model_file.contract import MAX_BATCH
from cgan_runtime.model_file.messages import message
from cgan_runtime.model_file.protobuf import Message
from cgan_runtime.model_file.validation.node_reading import (
    Constant,
    UnsupportedError,
    check_shape,
    check_types,
    quoted,
    read_attributes,
    reject,
    variables_of,
)
from cgan_runtime.model_file.validation.rules import (
    BYTES,
    FLOAT,
    INT64,
    MAX_ELEMENTS,
    MAX_IMAGE_ELEMENTS,
    MAX_IMAGE_MULTIPLICATIONS,
    MAX_MULTIPLICATIONS,
    OPERATORS,
    TYPE_NAMES,
)
from cgan_runtime.model_file.validation.shape_inference import RULES
from cgan_runtime.model_file.validation.shape_values import values_of
from cgan_runtime.model_file.validation.symbolic import (
    MAX_KNOWN_VALUES,
    Cost,
    MisfitError,
    Node,
    Size,
    Tensor,
    require_apart,
)

_SHAPES = "SR"  # type variables of inputs that determine the output's shape


class Known(NamedTuple):
    """What is known about a tensor."""

    tensor: Tensor
    type: int
    is_constant: bool = False  # onnxruntime computes it when it opens the file
    values: list[Size] | None = None  # of a small int64 tensor, if they can be inferred
    start: int = -1  # of the bytes of an initializer


class _Work:
    """An amount that grows with the batch."""

    def __init__(self, limit: int, image_limit: int) -> None:
        self._limit, self._image_limit = limit, image_limit
        self.fixed = self.each = 0

    @property
    def max_batch(self) -> int:
        """The largest batch within the limits, at most MAX_BATCH."""
        if self.each > self._image_limit:
            return 0
        free = self._limit - self.fixed
        return MAX_BATCH if free >= self.each * MAX_BATCH else free // self.each if self.each else 0


class GraphInference:
    """Infers the types and shapes of a graph's tensors and adds up the cost of its nodes."""

    def __init__(self, content: bytes) -> None:
        self.known: dict[str, Known] = {}  # by name
        self._content = content
        self._elements = _Work(MAX_ELEMENTS, MAX_IMAGE_ELEMENTS)
        self._multiplications = _Work(MAX_MULTIPLICATIONS, MAX_IMAGE_MULTIPLICATIONS)

    def max_batch(self) -> int:
        """Return the number of images of one session.run, a power of two."""
        images = min(self._elements.max_batch, self._multiplications.max_batch)
        return 1 << (images.bit_length() - 1)

    def add(self, name: str, known: Known) -> None:
        """Add an input, an initializer or the output of a node."""
        if not name:
            reject("nameless")
        if name in self.known:
            reject("defined twice", name=quoted(name))
        check_shape(name, known.tensor.shape)
        if known.type not in TYPE_NAMES:
            reject("tensor type", name=quoted(name), type=known.type)
        self.known[name] = known
        self._count(known.tensor.elements, 0, batched=known.tensor.batched)

    def add_tensor(self, tensor: Message) -> None:
        """Add an initializer."""
        name = tensor.get(8, "")
        known = Known(Tensor(tuple(tensor[1])), tensor.get(2, 0), is_constant=True)
        self.add(name, known)
        start = self._start_of(tensor, name)
        self.known[name] = known._replace(start=start)

    def _start_of(self, tensor: Message, name: str) -> int:
        """Return where the bytes of a tensor start; their number must match its shape."""
        start: int
        start, end = tensor.get(9, (0, 0))
        if end - start != BYTES[tensor[2]] * Tensor(tuple(tensor[1])).elements:
            reject("tensor size", name=quoted(name))
        return start

    def add_node(self, node: Message) -> None:
        """Add a node, whose inputs must have been added before."""
        names, outputs, kind, domain = node[1], node[2], node.get(4, ""), node.get(7, "")
        if domain or kind not in OPERATORS:
            where = f" of domain {quoted(domain)}" if domain else ""
            raise UnsupportedError(message("operator", operator=quoted(kind), domain=where))
        operator = OPERATORS[kind]
        attributes = read_attributes(node[5], kind, operator)
        variables = variables_of(operator, len(names))
        if variables is None:
            reject("counts", operator=kind, inputs=len(names), outputs=len(outputs))
        inputs = [
            self._input(name, kind, is_optional=index >= operator.required)
            for index, name in enumerate(names)
        ]
        types = [each and each.type for each in inputs]
        type_of = check_types(kind, operator, variables, types)
        given: Any = attributes.get(operator.output, type_of.get(operator.output))
        result: int = given.type if isinstance(given, Constant) else given
        try:
            cost, values = self._run_rule(kind, inputs, variables, attributes, result)
        except MisfitError as error:
            name = quoted(outputs[0] if outputs else "")
            raise UnsupportedError(message(str(error), operator=kind, name=name)) from error
        if len(outputs) != len(cost.outputs):
            reject("counts", operator=kind, inputs=len(names), outputs=len(outputs))
        is_constant = all(each is None or each.is_constant for each in inputs)
        batched = any(each.batched for each in cost.outputs)
        if is_constant:
            # onnxruntime computes the result while it opens the file, and keeps it twice. That may
            # take no longer than the work for one image.
            elements = sum(each.elements for each in cost.outputs)
            self._count(elements, cost.multiplications * (MAX_BATCH - 1), batched=False)
        self._count(cost.temporary, cost.multiplications, batched=batched)
        self._count(cost.scratch, 0, batched=False)
        for each, tensor in zip(outputs, cost.outputs, strict=True):
            self.add(each, Known(tensor, result, is_constant, values))

    def _run_rule(
        self,
        kind: str,
        inputs: Sequence[Known | None],
        variables: str,
        attributes: dict[str, Any],
        result: int,
    ) -> tuple[Cost, list[Size] | None]:
        """Return the cost of a node, and the content of its output if that is known."""
        values = [self._values_of(*each) for each in zip(inputs, variables, strict=True)]
        node = Node([each and each.tensor for each in inputs], attributes, values)
        cost = RULES[OPERATORS[kind].rule](node)
        content = values_of(kind, node, cost.outputs[0]) if result == INT64 else None
        if content is None:
            # The batch size may become a shape, but no part of an image.
            for variable, each in zip(variables, values, strict=True):
                numbers = each if each and variable not in _SHAPES else []
                require_apart(all(size.each == 0 for size in numbers))
        return cost, content

    def _input(self, name: str, kind: str, *, is_optional: bool) -> Known | None:
        if is_optional and not name:
            return None
        if name not in self.known:
            reject("undefined input", operator=kind, name=quoted(name))
        return self.known[name]

    def _values_of(self, known: Known | None, variable: str) -> Sequence[Any] | None:
        """Return the content of a tensor, if it is small and a shape may depend on it."""
        if known is None or known.values is not None or known.start < 0:
            return None if known is None else known.values
        count = known.tensor.elements
        if count > MAX_KNOWN_VALUES:
            return None
        if known.type == INT64:
            return [Size(each) for each in unpack_from(f"<{count}q", self._content, known.start)]
        if known.type == FLOAT and variable == "R":  # the scales of Resize
            return unpack_from(f"<{count}f", self._content, known.start)
        return None

    def _count(self, elements: int, multiplications: int, *, batched: bool) -> None:
        for work, amount in ((self._elements, elements), (self._multiplications, multiplications)):
            if batched:
                work.each += amount
            else:
                work.fixed += amount
        if min(self._elements.max_batch, self._multiplications.max_batch) < 1:
            reject(
                "too much work",
                elements=f"{self._elements.fixed + self._elements.each:,}",
                multiplications=f"{self._multiplications.fixed + self._multiplications.each:,}",
            )
