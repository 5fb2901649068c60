"""Tracing of code that uses the batch size as a number, such as range(len(noise)).

A trace of one batch size is made general: SIZE, and its multiples, become those of the noise. No
other number of a network is likely to be one of them. The verification of the exported file uses
other batch sizes and rejects it if this is wrong.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_aggregate

SIZE = 97


def with_any_batch(module: nn.Module, noise_dim: int) -> GraphModule:
    """Return a module that does the same for every batch size, and can be traced."""
    inputs = torch.zeros(SIZE, noise_dim), torch.zeros(SIZE).long()
    traced = torch.export.export(module, inputs, strict=False).module()
    graph = traced.graph
    noise, label = (node for node in graph.nodes if node.op == "placeholder")
    with graph.inserting_after(label):
        batch = graph.call_function(torch.ops.aten.sym_size.int, (noise, 0))
    for node in list(graph.nodes):
        if node.op == "call_module":  # a check of the batch size
            graph.erase_node(node)
        elif node.op == "get_attr" and torch.equal(_value(traced, node), torch.arange(SIZE)):
            with graph.inserting_after(batch):
                node.replace_all_uses_with(graph.call_function(torch.arange, (batch,)))
        elif node is not batch:
            replace = _replacement(graph, node, batch)
            node.args = map_aggregate(node.args, replace)
    return GraphModule(traced, graph)


def _value(module: nn.Module, node: Node) -> torch.Tensor:
    value: torch.Tensor = operator.attrgetter(str(node.target))(module)
    return value


def _replacement(graph: Graph, node: Node, batch: Node) -> Callable[[Any], Any]:
    def replace(value: Any) -> Any:
        if type(value) is not int or value == 0 or value % SIZE:
            return value
        with graph.inserting_before(node):
            return graph.call_function(operator.mul, (batch, value // SIZE))

    return replace
