"""Read the graph of an int8 file as a network of integers, which C can compute without floats.

ONNX Runtime divides the sums of the first layer by a scale, and multiplies those of the others by
(input scale * weight scale) / output scale, in float32. It rounds half to even, then saturates
(MlasQuantizeLinear and MlasRequantizeOutput in its onnxruntime/core/mlas/lib).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from cgan_export.errors import ExportError
from cgan_export.int8.scales import FLOAT32_INTEGERS, MAX_ACTIVATION
from cgan_runtime.model_file.contract import IMAGE, LABEL, NOISE
from cgan_runtime.noise import MAX_NOISE_STEP, STEPS_PER_UNIT

EXPONENTS = range(-16, 30)  # of the first layer: float16 / 32 is a multiple of 2**-29
MAX_ROWS = 2**16  # inputs of one sum; the C code numbers them with 16 bits
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class FirstLayer:
    """The first layer. The sum of a unit is table[label] + noise @ weight, noise in steps of 1/32.

    Byte k + 1 begins at the sum steps[group, k]. Units whose sums have the same unit of measure, a
    power of two, form a group.
    """

    table: Integers  # int32 [classes, units]
    weight: Integers  # int16 [noise_dim, units]
    steps: Integers  # int32 [groups, 255], ascending
    groups: Integers  # uint8 [units]

    def reordered(self, order: Integers) -> "FirstLayer":
        """Return the layer with its units in another order."""
        arrays = self.table[:, order], self.weight[:, order], self.steps, self.groups[order]
        return FirstLayer(*arrays)

    def __call__(self, noise: Integers, label: Integers) -> Integers:
        sums = self.table[label] + noise.astype(np.int64) @ self.weight
        columns = [
            np.searchsorted(self.steps[group], column, "right")
            for group, column in zip(self.groups, sums.T, strict=True)
        ]
        return np.stack(columns, axis=1)[:, None, None]


@dataclass(frozen=True)
class Layer:
    """A convolution of bytes, [height, width, channels]. A linear layer is one of a single pixel.

    The output is float32(sum) * scale, rounded half to even, plus zero, from 0 to 255.
    """

    weight: Integers  # int8 [kernel height, kernel width, inputs, outputs]
    bias: Integers  # int32 [outputs]
    scale: NDArray[np.float32]  # [outputs]
    zero: int
    input_size: tuple[int, int]  # height, width
    output_size: tuple[int, int]
    padding: tuple[int, int]  # top, left
    strides: tuple[int, int]

    @property
    def rows(self) -> int:
        """Number of inputs of one sum."""
        return int(np.prod(self.weight.shape[:3]))

    @property
    def output_bytes(self) -> int:
        """Number of outputs of one image."""
        return int(np.prod(self.output_size)) * len(self.bias)

    def reordered(self, order: Integers) -> "Layer":
        """Return the layer with its outputs in another order."""
        weight, bias, scale = self.weight[..., order], self.bias[order], self.scale[order]
        return replace(self, weight=weight, bias=bias, scale=scale)

    def __call__(self, state: Integers) -> Integers:
        rows, columns = self.output_size
        before = list(zip(self.padding, self.weight.shape, strict=False))
        padded = np.pad(state.astype(float), [(0, 0), *before, (0, 0)])  # float64 is exact here
        sums = np.zeros((len(state), rows, columns, len(self.bias)))
        for y, x in np.ndindex(self.weight.shape[:2]):
            ends = y + rows * self.strides[0], x + columns * self.strides[1]
            part = padded[:, y : ends[0] : self.strides[0], x : ends[1] : self.strides[1]]
            sums += part @ self.weight[y, x].astype(float)
        scaled = (sums + self.bias).astype(np.float32) * self.scale
        return (np.rint(scaled) + self.zero).clip(0, MAX_ACTIVATION).astype(np.int64)


@dataclass(frozen=True)
class Network:
    """An int8 file in integers."""

    first: FirstLayer
    layers: tuple[Layer, ...]
    pixels: Integers  # uint8 [256], by byte of the last layer
    offsets: Integers  # [outputs] of the last layer: the position of its first pixel in the image
    pitch: tuple[int, int]  # distance in the image between the last layer's rows and columns
    shape: tuple[int, int, int]  # channels, height, width

    def generate(self, noise: Integers, label: Integers) -> NDArray[np.uint8]:
        """Return the images: uint8 [batch, channels * height * width].

        Args:
            noise: [batch, noise_dim], in steps of 1/32.
            label: [batch].
        """
        state = self.first(noise, label)
        for layer in self.layers:
            state = layer(state)
        images = np.empty((len(label), np.prod(self.shape)), np.uint8)
        images[:, self.positions()] = self.pixels[state]
        return images

    def positions(self) -> Integers:
        """Return the positions in the image of the last layer's outputs: [rows, columns, outputs].

        """
        rows, columns = map(np.arange, self.layers[-1].output_size)
        corners = rows[:, None] * self.pitch[0] + columns * self.pitch[1]
        positions: Integers = corners[..., None] + self.offsets
        return positions


@dataclass(frozen=True)
class _Bytes:
    """Quantized activations, or pixels."""

    scale: NDArray[np.float32]
    zero: int
    positions: Integers  # in the C array, in the shape of the ONNX tensor without the batch


@dataclass(frozen=True)
class _Constant:
    """Quantized weights or biases."""

    values: Integers
    scale: NDArray[np.float32]


@dataclass(frozen=True)
class _Sums:
    """Output of a layer before its quantization; the layer's scale lacks the output scale."""

    layer: Layer


class _Reader:
    """Reads a graph node by node."""

    def __init__(self) -> None:
        self.first: FirstLayer | None = None
        self.layers: list[Layer] = []
        self.pixels: Integers | None = None

    def read(self, operator: str, inputs: list[Any], attributes: dict[str, Any]) -> Any:
        """Return what a node computes, given what its inputs are; raise ValueError if unknown."""
        match operator, inputs:
            case "Cast", [np.ndarray() as values]:
                return values.astype(np.float32)
            case "Mul", [np.ndarray() as values, np.ndarray() as factor]:
                return values * factor
            case "DequantizeLinear", [np.ndarray() as values, np.ndarray() as scale, *_]:
                return _Constant(values, scale)
            case "Gather", [np.ndarray() as table, "label"]:
                return table, "row"
            case "Gemm", ["noise", np.ndarray() as weight, (np.ndarray() as table, "row")]:
                return table, weight
            case "QuantizeLinear", [(table, np.ndarray() as weight), scale, zero] if zero == 0:
                self.first = _first_layer(table, weight, scale)
                return _Bytes(scale, 0, np.arange(weight.shape[1]))
            case "DequantizeLinear", [_Bytes() as state, scale, zero]:
                if (scale, zero) == (state.scale, state.zero):
                    return state
            case "MatMul" | "Conv", [_Bytes(zero=0) as state, _Constant() as weight, *bias]:
                if operator == "MatMul":
                    return _Sums(self._linear(state, weight))
                return _Sums(self._convolution(state, weight, bias[0], attributes))
            case "QuantizeLinear", [_Sums(layer), scale, zero]:
                self.layers.append(replace(layer, scale=layer.scale / scale, zero=int(zero)))
                rows, columns = layer.output_size
                hwc = np.arange(rows * columns * len(layer.bias)).reshape(rows, columns, -1)
                linear = (rows, columns) == (1, 1)
                return _Bytes(scale, int(zero), hwc.ravel() if linear else hwc.transpose(2, 0, 1))
            case "Sigmoid", [_Bytes() as state]:
                return state, "sigmoid"
            case "QuantizeLinear", [(_Bytes() as state, "sigmoid"), scale, zero]:
                logit = (np.arange(256) - state.zero) * float(state.scale)
                pixels = np.rint(1 / (1 + np.exp(-logit)) / float(scale))
                self.pixels = (pixels + int(zero)).clip(0, 255).astype(np.uint8)
                return replace(state, zero=-1)  # no layer accepts it
            case "Reshape", [_Bytes() as state, np.ndarray() as shape]:
                return replace(state, positions=state.positions.reshape(shape[1:]))
            case "Transpose", [_Bytes() as state]:
                order = [axis - 1 for axis in attributes["perm"][1:]]
                return replace(state, positions=state.positions.transpose(order))
        raise ValueError(f"{operator} stands where cgan-export does not write it")

    def network(self, image: Integers) -> Network:
        """Return the network, given the positions of the image's bytes in the last layer's outputs.

        Raises:
            ValueError: a part is missing, or the positions are not those of a pixel shuffle.
        """
        if self.first is None or self.pixels is None or not self.layers:
            raise ValueError("a layer is missing")
        last = self.layers[-1]
        positions = np.argsort(image.ravel()).reshape(*last.output_size, len(last.bias))
        corner = positions[0, 0, 0]
        pitch = [int(each[0] - corner) if each.size else 0 for each in (positions[1:2, 0, 0], positions[0, 1:2, 0])]
        network = Network(self.first, tuple(self.layers), self.pixels, positions[0, 0], (pitch[0], pitch[1]), image.shape)
        if not np.array_equal(network.positions(), positions):
            raise ValueError("the order of its pixels is unknown")
        for layer in self.layers:
            largest = MAX_ACTIVATION * np.abs(layer.weight.astype(int)).sum((0,1,2)) + np.abs(layer.bias.astype(int))
            if layer.rows >= MAX_ROWS or largest.max() >= 2**31:
                raise ValueError("a layer has too many inputs")
        return network

    def _linear(self, state: _Bytes, weight: _Constant) -> Layer:
        matrix = weight.values[np.argsort(state.positions.ravel())]  # in the order of the C array
        none = np.zeros(matrix.shape[1], np.int32)
        scale = np.broadcast_to(state.scale * weight.scale, none.shape)
        return Layer(matrix[None, None], none, scale, 0, (1, 1), (1, 1), (0, 0), (1, 1))

    def _convolution(
        self, state: _Bytes, weight: _Constant, bias: _Constant, attributes: dict[str, Any]
    ) -> Layer:
        if not attributes.keys() <= {"pads", "strides"}:
            raise ValueError(f"Conv has unsupported attributes: {', '.join(attributes)}")
        channels, height, width = state.positions.shape
        target = np.arange(state.positions.size).reshape(height, width, channels)
        order = state.positions.transpose(1, 2, 0).ravel()
        if not np.array_equal(order, target.ravel()):  # a linear layer made these activations
            if self.layers:
                self.layers[-1] = self.layers[-1].reordered(order)
            elif self.first:
                self.first = self.first.reordered(order)
        values = weight.values.transpose(2, 3, 1, 0)  # [height, width, inputs, outputs]
        top, left, bottom, right = attributes.get("pads", [0] * 4)
        strides = attributes.get("strides", [1, 1])
        sides = zip((height + top + bottom, width + left + right), values.shape, strides, strict=False)
        rows, columns = ((size - kernel) // stride + 1 for size, kernel, stride in sides)
        scale = np.broadcast_to(state.scale * weight.scale, bias.values.shape)
        geometry = (height, width), (rows, columns), (top, left), tuple(strides)
        return Layer(values, bias.values, scale, 0, *geometry)


def read_network(content: bytes, source: str) -> Network:
    """Read an int8 file.

    Args:
        content: an ONNX file that follows the model contract.
        source: its name, for messages.

    Raises:
        ExportError: the graph is not one that the int8 export writes, or its sums could be inexact.
    """
    graph, reader = onnx.ModelProto.FromString(content).graph, _Reader()
    values: dict[str, Any] = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    values |= {NOISE: "noise", LABEL: "label"}
    try:
        for node in graph.node:
            attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            inputs = [values[name] for name in node.input]
            values[node.output[0]] = reader.read(node.op_type, inputs, attributes)
        return reader.network(values[IMAGE].positions)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ExportError(
            f"{source} cannot become C ({error}); export the model again with --precision int8"
        ) from error


def _first_layer(
    table: NDArray[np.float32], weight: NDArray[np.float32], scale: NDArray[np.float32]
) -> FirstLayer:
    """Return the first layer in integers; raise ValueError if float32 would round its sums."""
    rows, columns = table.astype(float), weight.astype(float) / STEPS_PER_UNIT
    values = np.concatenate([rows, columns])
    whole = np.stack([(np.ldexp(values, each) % 1 == 0).all(0) for each in EXPONENTS])
    exponents = whole.argmax(0) + EXPONENTS.start
    largest = np.abs(rows).max(0) + MAX_NOISE_STEP * np.abs(columns).sum(0)
    if not whole.any(0).all() or np.ldexp(largest, exponents).max() >= FLOAT32_INTEGERS:
        raise ValueError("the sums of its first layer depend on their order")
    used, groups = np.unique(exponents, return_inverse=True)
    steps = np.stack([_byte_steps(-int(each), scale) for each in used])
    integers = np.ldexp(rows, exponents).astype(np.int32), np.ldexp(columns, exponents)
    return FirstLayer(integers[0], integers[1].astype(np.int16), steps, groups.astype(np.uint8))


def _byte_steps(exponent: int, scale: NDArray[np.float32]) -> Integers:
    """Return the least integers n for which n * 2**exponent / scale in float32 gives 1, 2, ... 255.

    A byte beyond the largest sum, 2**24 - 1, gets 2**24.
    """
    low, high = np.zeros(MAX_ACTIVATION, np.int32), np.full(MAX_ACTIVATION, FLOAT32_INTEGERS, np.int32)
    while (low < high).any():
        middle = (low + high) // 2
        values = np.ldexp(middle.astype(np.float32), exponent) / scale
        reached = np.rint(values) > np.arange(MAX_ACTIVATION)
        low, high = np.where(reached, low, np.minimum(middle + 1, high)), np.where(reached, middle, high)
    return low

