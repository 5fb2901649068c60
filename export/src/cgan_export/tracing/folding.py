"""Values that depend on weights only, such as the inverse of a matrix, as constants.

This is the second attempt where torch.onnx cannot express an operator.
"""

from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node


def with_constants(program: ExportedProgram, inputs: tuple[Tensor, ...]) -> GraphModule | None:
    """Return a module that contains such values; None if there are none."""
    module = program.module()
    recorder = Recorder(module)
    with torch.no_grad():
        recorder.run(*inputs)
    computed, weights = set[Node](), set[Node]()
    for node in module.graph.nodes:
        inputs_of = node.all_input_nodes
        if node.op == "get_attr":
            weights.add(node)
        elif node.op == "call_function" and all(each in computed | weights for each in inputs_of):
            computed.add(node)
            if any(each in weights for each in inputs_of):
                weights.add(node)
    used = [
        node
        for node in computed & weights & recorder.values.keys()
        if any(user not in computed for user in node.users)
    ]
    for index, node in enumerate(used):
        name = f"constant_{index}"
        module.register_buffer(name, recorder.values[node])
        with module.graph.inserting_before(node):
            # A clone, because the module may change the value in place.
            clone = module.graph.call_function(
                torch.ops.aten.clone.default, (module.graph.get_attr(name),)
            )
        node.replace_all_uses_with(clone)
    for node in reversed(module.graph.nodes):  # also those that check types
        if node in computed and not node.users:
            module.graph.erase_node(node)
    module.recompile()
    return module if used else None


class Recorder(Interpreter):
    """Runs a program and keeps the tensors that its operators return."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.values: dict[Node, Tensor] = {}

    def run_node(self, n: Node) -> Any:
        """Run an operator, and keep a tensor that it returns."""
        value = super().run_node(n)
        if n.op == "call_function" and isinstance(value, Tensor):
            self.values[n] = value.clone()
        return value
