"""Read the graph of an int8 file as a network of integers.

In float32, ONNX Runtime divides the sums of the first layer by a scale, and multiplies those of the
others by (input scale * weight scale) / output scale. Then it rounds half to even and saturates
(MlasQuantizeLinear and MlasRequantizeOutput in its folder onnxruntime/core/mlas/lib).
"""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from cgan_export.errors import ExportError
from cgan_runtime.noise import MAX_NOISE_STEP, STEPS_PER_UNIT

EXPONENTS = range(-16, 30)  # of two in the first layer: float16 / 32 is a multiple of 2**-29
FLOAT32_INTEGERS = 2**24  # float32 represents all integers up to it
MAX_INPUTS = 2**16  # of one sum: the C code numbers them with 16 bits
Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.integer[Any]]
Pair: TypeAlias = tuple[int, int]  # of a vertical and a horizontal value


@dataclass(frozen=True)
class FirstLayer:
    """The first layer. A unit's sum is table[label] + noise @ weight, with noise in steps of 1/32.

    Its output is the number of steps[group] that the sum reaches. The sums of the units of a group
    have the same unit of measure, a power of two.
    """

    table: Integers  # [classes, units]
    weight: Integers  # [noise_dim, units], of 16 bits
    steps: Integers  # [groups, 255], ascending
    groups: Integers  # [units]

    def run(self, noise: Integers, label: Integers) -> Integers:
        """Return the outputs, [batch, units]."""
        sums = self.table[label] + noise @ self.weight.astype(np.int64)
        pairs = zip(self.groups, sums.T, strict=True)
        return np.stack([np.searchsorted(self.steps[g], s, "right") for g, s in pairs], axis=1)


@dataclass(frozen=True)
class Layer:
    """A convolution of bytes [height, width, channels]. A linear layer is one of a single pixel.

    Its output is float32(sum) * scale, rounded half to even, plus zero, from 0 to 255.
    """

    weight: Integers  # int8 [kernel height, kernel width, inputs, outputs]
    bias: Integers  # int32 [outputs]
    scale: Floats  # [outputs]
    zero: int
    input_size: Pair
    output_size: Pair
    padding: Pair  # top, left
    strides: Pair
    positions: Integers  # of the outputs, as the next layer or the image stores them; same shape

    def run(self, state: Integers) -> Integers:
        """Return the outputs at their positions, [batch, height * width * outputs]."""
        (top, left), (down, across), (rows, columns) = self.padding, self.strides, self.output_size
        grid = state.reshape(len(state), *self.input_size, -1).astype(float)  # exact
        height, width = self.weight.shape[:2]
        grid = np.pad(grid, [(0, 0), (top, height), (left, width), (0, 0)])
        sums = np.zeros((len(state), rows, columns, len(self.bias)))
        for y, x in np.ndindex(height, width):
            part = grid[:, y : y + down * rows : down, x : x + across * columns : across]
            sums += part @ self.weight[y, x].astype(float)
        outputs = np.rint((sums + self.bias).astype(np.float32) * self.scale) + self.zero
        placed = np.empty((len(state), self.positions.size), np.int64)
        placed[:, self.positions] = outputs.clip(0, 255)
        return placed

    def placed(self, order: Integers) -> "Layer":
        """Return the layer with outputs in another order, which lists their present positions.

        Raises:
            ValueError: C cannot store them, because their rows or columns are not evenly spaced.
        """
        positions = np.argsort(order.ravel()).reshape(*self.output_size, -1)
        steps = [np.diff(positions, axis=axis) for axis in (0, 1)]
        if any(each.size and np.ptp(each) for each in steps) or positions[0, 0].min():
            raise ValueError("the order of its pixels is not that of a pixel shuffle")
        return replace(self, positions=positions)


@dataclass(frozen=True)
class Network:
    """An int8 file in integers."""

    first: FirstLayer
    layers: list[Layer]
    pixels: Integers  # [256]: pixel for each output of the last layer
    covered: Pair  # height and width of the last layer's image, which is cropped to the shape
    shape: tuple[int, int, int]  # channels, height, width

    def generate(self, noise: Integers, label: Integers) -> NDArray[np.uint8]:
        """Return images, uint8 [batch, bytes], for noise in steps of 1/32, [batch, noise_dim]."""
        state = self.first.run(noise, label)
        for layer in self.layers:
            state = layer.run(state)
        channels, height, width = self.shape
        images = self.pixels[state].reshape(len(label), channels, *self.covered)
        return np.asarray(images[..., :height, :width].reshape(len(label), -1), np.uint8)


def read_network(content: bytes, source: str) -> Network:
    """Return the network of an ONNX file.

    The order of the nodes is hardly checked, because the caller compares images.

    Raises:
        ExportError: the graph is not one that the int8 export writes, or float32 rounds its sums.
    """
    try:
        return _Reader(onnx.ModelProto.FromString(content).graph).network()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        reason = error if isinstance(error, ValueError) else "its graph has an unknown form"
        raise ExportError(
            f"{source} cannot become C ({reason}); export the model again with --precision int8"
        ) from error


class _Reader:
    """Follows the activations through a graph, node by node."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = graph.node
        self.stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self.makers = {each.output[0]: each for each in graph.node}
        self.first: FirstLayer | None = None
        self.layers: list[Layer] = []
        self.pixels: Integers | None = None
        self.pending: Layer | tuple[Floats, Floats] | None = None  # not yet quantized
        self.scale: Any = None  # of the activations, float32
        self.zero = 0
        self.positions: Integers = np.arange(0)  # of the activations in C, in the graph's shape
        self.uncropped: Integers | None = None  # positions before the image is cropped

    def network(self) -> Network:
        """Read all nodes."""
        for node in self.nodes:
            if node.op_type == "Gemm":
                row = self.makers[node.input[2]]  # Gather
                self.pending = self.floats(row.input[0]), self.floats(node.input[1])
            elif node.op_type in ("MatMul", "Conv"):
                self.pending = self.layer(node)
            elif node.op_type == "QuantizeLinear":
                self.quantize(self.stored[node.input[1]], int(self.stored[node.input[2]]))
            elif node.op_type == "Reshape":
                self.positions = self.positions.reshape(self.stored[node.input[1]][1:])
            elif node.op_type == "Transpose":
                order = helper.get_attribute_value(node.attribute[0])
                self.positions = self.positions.transpose([axis - 1 for axis in order[1:]])
            elif node.op_type == "Slice":
                self.uncropped, (bottom, right) = self.positions, self.stored[node.input[2]]
                self.positions = self.positions[:, :bottom, :right]
            elif node.op_type not in ("Cast", "DequantizeLinear", "Gather", "Mul", "Sigmoid"):
                raise ValueError(f"its graph has the operator {node.op_type}")
        if self.first is None or self.pixels is None or not self.layers:
            raise ValueError("its graph lacks a layer")
        covered = self.positions if self.uncropped is None else self.uncropped
        self.layers[-1] = self.layers[-1].placed(covered)
        channels, height, width = self.positions.shape
        size = covered.shape[1], covered.shape[2]
        return Network(self.first, self.layers, self.pixels, size, (channels, height, width))

    def floats(self, name: str) -> Floats:
        """Return a float32 constant, which may be stored as float16."""
        stored = self.makers[name].input[0] if name in self.makers else name
        return self.stored[stored].astype(np.float32)

    def quantize(self, scale: Floats, zero: int) -> None:
        """Complete the pending layer. Without one, this is the quantization of the sigmoid."""
        if isinstance(self.pending, Layer):
            layer = replace(self.pending, scale=self.pending.scale / scale, zero=zero)
            self.layers.append(layer)
            is_linear = self.positions.ndim == 1
            grid = np.moveaxis(layer.positions, -1, 0)
            self.positions = grid.ravel() if is_linear else grid
        elif self.pending:
            self.first = first_layer(*self.pending, scale)
            self.positions = np.arange(len(self.first.groups))
        else:
            logits = (np.arange(256) - self.zero) * float(self.scale)
            self.pixels = np.rint(1 / (1 + np.exp(-logits)) / scale).astype(np.uint8)
        self.pending, self.scale, self.zero = None, scale, zero

    def layer(self, node: NodeProto) -> Layer:
        """Return a layer whose scale is that of its sums."""
        weight = self.makers[node.input[1]]  # DequantizeLinear
        values, geometry = self.stored[weight.input[0]], ((1, 1), (1, 1), (0, 0), (1, 1))
        bias = np.zeros(values.shape[-1], np.int32)
        if node.op_type == "MatMul":
            values = values[np.argsort(self.positions.ravel())][None, None]
        else:
            bias = self.stored[self.makers[node.input[2]].input[0]]
            values = values.transpose(2, 3, 1, 0)  # [height, width, inputs, outputs]
            geometry = self.geometry(values.shape, node)
        largest = np.abs(values.astype(int)).sum((0, 1, 2)) * 255 + np.abs(bias)
        if largest.max() >= 2**31 or values[..., 0].size >= MAX_INPUTS or self.zero != 0:
            raise ValueError("a layer has too many inputs")
        scale = np.broadcast_to(self.scale * self.floats(weight.input[1]), bias.shape)
        outputs: Integers = np.arange(np.prod(geometry[1]) * len(bias))
        return Layer(values, bias, scale, 0, *geometry, outputs.reshape(*geometry[1], -1))

    def geometry(self, kernel: tuple[int, ...], node: NodeProto) -> tuple[Pair, Pair, Pair, Pair]:
        """Return the sizes, the padding and the strides of a convolution."""
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        (top, left, bottom, right), strides = attributes["pads"], attributes["strides"]
        _, height, width = self.positions.shape
        order = self.positions.transpose(1, 2, 0).ravel()
        if (np.diff(order) != 1).any():
            last = self.layers.pop()
            if last.output_size != (1, 1):
                last = last.placed(order)
            else:  # a linear layer: its outputs can have any order
                weight, bias, scale = last.weight[..., order], last.bias[order], last.scale[order]
                last = replace(last, weight=weight, bias=bias, scale=scale)
            self.layers.append(last)
        rows = (height + top + bottom - kernel[0]) // strides[0] + 1
        columns = (width + left + right - kernel[1]) // strides[1] + 1
        return (height, width), (rows, columns), (top, left), (strides[0], strides[1])


def first_layer(table: Floats, weight: Floats, scale: Floats) -> FirstLayer:
    """Return the first layer in integers.

    Args:
        table: [classes, units].
        weight: [noise_dim, units].
        scale: of the outputs.

    Raises:
        ValueError: float32 rounds the sums, so that they depend on the order of summation.
    """
    values = np.concatenate([table, weight / STEPS_PER_UNIT]).astype(float)
    whole = np.stack([(np.ldexp(values, each) % 1 == 0).all(0) for each in EXPONENTS])
    exponents = whole.argmax(0) + EXPONENTS.start
    integers = np.ldexp(values, exponents)
    rows, columns = np.split(integers, [len(table)])
    largest = np.abs(rows).max(0) + MAX_NOISE_STEP * np.abs(columns).sum(0)
    if (
        not whole.any(0).all()
        or max(largest.max(), np.abs(columns).max() * 2**9) >= FLOAT32_INTEGERS
    ):
        raise ValueError("float32 rounds the sums of its first layer")
    used, groups = np.unique(exponents, return_inverse=True)
    steps = np.stack([_byte_steps(-int(each), scale) for each in used])
    integers = integers.astype(np.int32)
    return FirstLayer(integers[: len(table)], integers[len(table) :], steps, groups)


def _byte_steps(exponent: int, scale: Floats) -> Integers:
    """Return the least integers n for which n * 2**exponent / scale becomes 1, 2, ... 255.

    The quotient is rounded to float32, then half to even. No sum reaches 2**24, the maximum here.
    """
    low, high = np.zeros(255, np.int32), np.full(255, FLOAT32_INTEGERS, np.int32)
    while (low < high).any():
        middle = (low + high) // 2
        quotients = np.ldexp(middle.astype(np.float32), exponent) / scale
        reached = (np.rint(quotients) > np.arange(255)) | (middle == FLOAT32_INTEGERS)
        low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
    return low
