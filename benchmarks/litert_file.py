"""Write a perceptron as a .tflite file, with the format's own schema.

LiteRT's converter from PyTorch would install jax, transformers and sixty other packages, which is
too much for a network of few operators.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def tflite(layers: Layers, noise_dim: int) -> bytes:
    """Return a .tflite file of a perceptron.

    The inputs are noise, float32 [batch, noise_dim], and label, int32 [batch]. The output is uint8
    [batch, pixels]: 255 * sigmoid(2 x), which equals 127.5 * (tanh(x) + 1), rounded and cast. The
    label selects a row of a table, as in this project's own export.
    """
    from ai_edge_litert import schema_py_generated as schema

    kinds, options, types = schema.BuiltinOperator, schema.BuiltinOptions, schema.TensorType
    graph = _Graph(schema)
    (weight, bias), *rest = layers
    noise = graph.tensor("noise", (1, noise_dim), types.FLOAT32)
    label = graph.tensor("label", (1,), types.INT32)
    table = graph.constant("table", weight[:, noise_dim:].T + bias)
    row = graph.tensor("row", (1, len(bias)), types.FLOAT32)
    graph.operator(
        kinds.GATHER, [table, label], row, options.GatherOptions, schema.GatherOptionsT()
    )
    state = graph.tensor("first_layer", (1, len(bias)), types.FLOAT32)
    first = graph.constant("noise_weight", weight[:, :noise_dim])
    no_bias = graph.constant("no_bias", np.zeros(len(bias), np.float32))
    graph.fully_connected([noise, first, no_bias], state, relu=False)
    hidden = graph.tensor("hidden", (1, len(bias)), types.FLOAT32)
    added = schema.AddOptionsT()
    added.fusedActivationFunction = schema.ActivationFunctionType.RELU
    graph.operator(kinds.ADD, [state, row], hidden, options.AddOptions, added)
    for number, (weight, bias) in enumerate(rest):
        last = number == len(rest) - 1
        scale = np.float32(2 if last else 1)
        parts = [graph.constant(f"weight{number}", weight * scale)]
        parts.append(graph.constant(f"bias{number}", bias * scale))
        state = graph.tensor(f"state{number}", (1, len(bias)), types.FLOAT32)
        graph.fully_connected([hidden, *parts], state, relu=not last)
        hidden = state
    sigmoid, scaled, rounded, image = (
        graph.tensor(name, (1, len(rest[-1][1])), kind)
        for name, kind in (
            ("sigmoid", types.FLOAT32),
            ("scaled", types.FLOAT32),
            ("rounded", types.FLOAT32),
            ("image", types.UINT8),
        )
    )
    graph.operator(kinds.LOGISTIC, [hidden], sigmoid)
    white = graph.constant("white", np.array(255, np.float32))
    graph.operator(kinds.MUL, [sigmoid, white], scaled, options.MulOptions, schema.MulOptionsT())
    graph.operator(kinds.ROUND, [scaled], rounded)
    graph.operator(kinds.CAST, [rounded], image, options.CastOptions, schema.CastOptionsT())
    return graph.file([noise, label], [image])


class _Graph:
    """The tensors and operators of a graph, in the order in which they are added."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]  # the first is empty: computed tensors use it
        self.operators: list[Any] = []
        self.codes: list[int] = []

    def tensor(self, name: str, shape: tuple[int, ...], kind: int, buffer: int = 0) -> int:
        """Add a tensor and return its index. The first axis of a computed tensor is the batch."""
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, buffer
        if not buffer:
            tensor.shapeSignature = [-1, *shape[1:]]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, name: str, values: NDArray[np.float32]) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.buffers.append(buffer)
        kind = self.schema.TensorType.FLOAT32
        return self.tensor(name, values.shape, kind, len(self.buffers) - 1)

    def operator(
        self, kind: int, inputs: list[int], output: int, options_type: int = 0, options: Any = None
    ) -> None:
        if kind not in self.codes:
            self.codes.append(kind)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.codes.index(kind)
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        self.operators.append(operator)

    def fully_connected(self, inputs: list[int], output: int, *, relu: bool) -> None:
        options = self.schema.FullyConnectedOptionsT()
        activations = self.schema.ActivationFunctionType
        options.fusedActivationFunction = activations.RELU if relu else activations.NONE
        kinds, unions = self.schema.BuiltinOperator, self.schema.BuiltinOptions
        self.operator(kinds.FULLY_CONNECTED, inputs, output, unions.FullyConnectedOptions, options)

    def signature_entry(self, index: int) -> Any:
        """Return the entry for a tensor in the model's signature."""
        entry = self.schema.TensorMapT()
        entry.name, entry.tensorIndex = self.tensors[index].name, index
        return entry

    def file(self, inputs: list[int], outputs: list[int]) -> bytes:
        import flatbuffers

        subgraph = self.schema.SubGraphT()
        subgraph.tensors, subgraph.operators = self.tensors, self.operators
        subgraph.inputs, subgraph.outputs, subgraph.name = inputs, outputs, b"main"
        model = self.schema.ModelT()
        model.version, model.description = 3, b"perceptron"
        signature = self.schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
        signature.inputs = [self.signature_entry(index) for index in inputs]
        signature.outputs = [self.signature_entry(index) for index in outputs]
        model.signatureDefs = [signature]
        model.subgraphs, model.buffers, model.operatorCodes = [subgraph], self.buffers, []
        for kind in self.codes:
            code = self.schema.OperatorCodeT()
            code.builtinCode = kind
            code.deprecatedBuiltinCode = min(kind, 127)
            code.version = 1
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
