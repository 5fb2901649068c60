"""Tracing of code that uses the batch size as a number, such as range(len(noise)).

The module is traced with the batch size FIXED_BATCH. Then every constant that is a multiple of it
becomes the same multiple of the actual batch size. Other constants of a network are unlikely to be
multiples of 97. If one is, the verification rejects the exported file, because it uses other batch
sizes.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_aggregate

FIXED_BATCH = 97


def generalize_batch_size(module: nn.Module, noise_dim: int) -> GraphModule:
    """Return a traceable module that computes the same function for any batch size."""
    inputs = torch.zeros(FIXED_BATCH, noise_dim), torch.zeros(FIXED_BATCH).long()
    traced = torch.export.export(module, inputs, strict=False).module()
    graph = traced.graph
    noise, label = (node for node in graph.nodes if node.op == "placeholder")
    with graph.inserting_after(label):
        batch = graph.call_function(torch.ops.aten.sym_size.int, (noise, 0))
    for node in list(graph.nodes):
        if node.op == "call_module":  # a check of the batch size
            graph.erase_node(node)
        elif node.op == "get_attr" and torch.equal(_value(traced, node), torch.arange(FIXED_BATCH)):
            with graph.inserting_after(batch):
                node.replace_all_uses_with(graph.call_function(torch.arange, (batch,)))
        elif node is not batch:
            node.args = map_aggregate(node.args, _replace_multiples(batch, graph, node))
    return GraphModule(traced, graph)


def _value(module: nn.Module, node: Node) -> torch.Tensor:
    value: torch.Tensor = operator.attrgetter(str(node.target))(module)
    return value


def _replace_multiples(batch: Node, graph: Graph, node: Node) -> Callable[[Any], Any]:
    """Return a function that replaces a multiple of FIXED_BATCH in the arguments of a node."""

    def replace(value: Any) -> Any:
        if type(value) is not int or value == 0 or value % FIXED_BATCH:
            return value
        with graph.inserting_before(node):
            return graph.call_function(operator.mul, (batch, value // FIXED_BATCH))

    return replace
