"""Fold operators that depend only on weights, such as the inverse of a matrix, into constants.

trace.py folds them only if torch.onnx cannot convert the program as it is.
"""

from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node


def fold_constants(program: ExportedProgram, inputs: tuple[Tensor, ...]) -> GraphModule | None:
    """Return the program as a module with folded constants, or None if there are none to fold."""
    module = program.module()
    interpreter = ValueInterpreter(module)
    with torch.no_grad():
        interpreter.run(*inputs)
    constant, uses_weights = set[Node](), set[Node]()
    for node in module.graph.nodes:
        arguments = node.all_input_nodes
        if node.op == "get_attr":
            uses_weights.add(node)
        elif node.op == "call_function" and all(
            each in constant | uses_weights for each in arguments
        ):
            constant.add(node)
            if any(each in uses_weights for each in arguments):
                uses_weights.add(node)
    folded = [
        node
        for node in constant & uses_weights & interpreter.values.keys()
        if any(user not in constant for user in node.users)
    ]
    for index, node in enumerate(folded):
        name = f"constant_{index}"
        module.register_buffer(name, interpreter.values[node])
        with module.graph.inserting_before(node):
            # A clone, because the module may change the value in place.
            clone = module.graph.call_function(
                torch.ops.aten.clone.default, (module.graph.get_attr(name),)
            )
        node.replace_all_uses_with(clone)
    # Erase the unused constant nodes, including those that only check the type of a tensor.
    for node in reversed(module.graph.nodes):
        if node in constant and not node.users:
            module.graph.erase_node(node)
    module.recompile()
    return module if folded else None


class ValueInterpreter(Interpreter):
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
