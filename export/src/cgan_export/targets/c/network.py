"""Read an int8 file as a network with integer arithmetic.

In float32, ONNX Runtime divides the sums of the first layer by a scale. It multiplies the sums of
every other layer by (input scale * weight scale) / output scale. Then it rounds half to even and
saturates (MlasQuantizeLinear and MlasRequantizeOutput in its folder onnxruntime/core/mlas/lib).
"""

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import numpy_helper

from cgan_export.errors import ExportError
from cgan_runtime.noise import MAX_NOISE_STEP, STEPS_PER_UNIT

MIN_FLOAT16 = 2.0**-24  # smallest positive float16; every float16 is a multiple of it
MAX_FLOAT32_INTEGER = 2**24  # float32 represents all integers up to this limit
MAX_INPUTS = 2**16  # largest number of inputs of a sum, which the C code numbers with 16 bits
Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Layer:
    """A convolution that keeps the size of its input. A linear layer has an input of one pixel.

    Its output is float32(sum) * scale, rounded half to even, plus zero_point, from 0 to 255. A
    pixel shuffle turns the outputs at one pixel into a block of pixels of the next layer's input,
    [*block, channels].
    """

    weight: Integers  # int8 [kernel, kernel, channels, outputs]
    bias: Integers  # int32 [outputs]
    scale: Floats  # [outputs]
    zero_point: int
    size: Integers  # rows and columns of the input
    block: Integers  # rows and columns of a block

    def run(self, maps: Integers) -> Integers:
        """Run the layer: from its input to the next layer's input, [rows, columns, channels]."""
        kernel, edge = len(self.weight), len(self.weight) // 2
        padded = np.pad(maps.astype(float), [(edge, edge), (edge, edge), (0, 0)])  # exact
        windows = sliding_window_view(padded, (kernel, kernel), (0, 1))
        sums = np.tensordot(windows, self.weight.astype(float), ([3, 4, 2], [0, 1, 2])) + self.bias
        outputs = np.rint(sums.astype(np.float32) * self.scale) + self.zero_point
        blocks = outputs.clip(0, 255).astype(int).reshape(*self.size, *self.block, -1)
        return np.asarray(blocks.swapaxes(1, 2).reshape(*self.size * self.block, -1))

    def with_blocks(self, block: Integers) -> "Layer":
        """Return the layer with outputs in the order [*block, channels], not [channels, *block]."""
        order = np.arange(len(self.bias)).reshape(-1, *block).transpose(1, 2, 0).ravel()
        weight, bias, scale = self.weight[..., order], self.bias[order], self.scale[order]
        return replace(self, weight=weight, bias=bias, scale=scale, block=block)


@dataclass(frozen=True)
class Network:
    """An int8 model in integer arithmetic, as the C code computes it.

    The sums of the first layer are table[label] + noise @ noise_weight, with noise in multiples of
    1/32. Units whose integer sums have the same scale, a power of two, form a group with 255
    thresholds. The output of a unit is the number of its group's thresholds that its sum reaches.
    """

    table: Integers  # [classes, units]
    noise_weight: Integers  # [noise_dim, units], at most 16 bits
    thresholds: Integers  # [groups, 255], ascending
    groups: Integers  # [units]: the group of each unit
    layers: list[Layer]  # the layers after the first
    pixels: Integers  # [256]: the pixel value of each output of the last layer
    shape: list[int]  # channels, height, width; the last feature maps may be larger

    def generate(self, noise: Integers, label: int) -> NDArray[np.uint8]:
        """Return the image, uint8 [channels, height, width], of noise in multiples of 1/32."""
        sums = self.table[label] + noise @ self.noise_weight
        maps = (self.thresholds[self.groups] <= sums[:, None]).sum(1)[None, None]
        for layer in self.layers:
            maps = layer.run(maps)
        image = self.pixels[maps[: self.shape[1], : self.shape[2]]]
        return np.asarray(image.transpose(2, 0, 1), np.uint8)


def read_network(content: bytes) -> Network:
    """Return the network of an ONNX file whose tensors have the names of int8/onnx_graph.py.

    The graph is not checked, because the caller compares images.

    Raises:
        ExportError: float32 does not represent the sums of the first layer exactly; or another
            layer has too many inputs, too large sums, or inputs whose zero point is not 0.
        IndexError, KeyError, TypeError, ValueError: the int8 export did not write the file.
    """
    graph = onnx.ModelProto.FromString(content).graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    # Every layer's outputs and the image are quantized with a scale and a zero point.
    quantizers = [each for each in graph.node if each.op_type == "QuantizeLinear"]
    scales, zeros = ([stored[each.input[i]] for each in quantizers] for i in (1, 2))
    layers: list[Layer] = []
    size, one, shape = np.ones(2, int), np.ones(2, int), np.ones(0, int)
    for node in graph.node:
        if node.op_type in ("MatMul", "Conv"):
            number = len(layers) + 1
            values, scale = stored[f"layer{number}_weight"], stored[f"layer{number}_scale"]
            bias = stored.get(f"layer{number}_bias", np.zeros(len(scale), np.int32))
            weight = values.transpose(2, 3, 1, 0) if node.op_type == "Conv" else values[None, None]
            largest = 255 * np.abs(weight.astype(int)).sum((0, 1, 2)) + np.abs(bias)
            if largest.max() >= 2**31 or weight[..., 0].size > MAX_INPUTS or zeros[number - 1]:
                raise ExportError(
                    f"the layer of layer{number}_weight has more than {MAX_INPUTS:,} inputs, sums "
                    "of more than 32 bits, or inputs whose zero point is not 0"
                )
            scale = scales[number - 1] * scale.astype(np.float32) / scales[number]
            layers.append(Layer(weight, bias, scale, int(zeros[number]), size, one))
        elif node.op_type == "Reshape":
            shape, last = stored[node.input[1]], layers[-1]
            if (last.block == 1).all():  # otherwise the Reshape only gives the image its shape
                # Rounded up, because a crop may have removed the last rows and columns.
                layers[-1] = last.with_blocks(np.ceil(shape[-2:] / last.size).astype(int))
                size = last.size * layers[-1].block
    logits = (np.arange(256) - int(zeros[-2])) * float(scales[-2])
    pixels = np.rint(1 / (1 + np.exp(-logits)) / scales[-1]).astype(np.uint8)
    first = first_layer(stored["table"], stored["noise_weight"], scales[0])
    return Network(*first, layers, pixels, [int(each) for each in shape[-3:]])


def first_layer(
    table: Floats, weight: Floats, scale: Floats
) -> tuple[Integers, Integers, Integers, Integers]:
    """Return the table, noise weights, thresholds and groups of a Network.

    Args:
        table: [classes, units], values that float16 represents exactly.
        weight: [noise_dim, units], values that float16 represents exactly.
        scale: scale of the outputs.

    Raises:
        ExportError: float32 rounds the sums, so that they depend on the order of summation.
    """
    quantum = MIN_FLOAT16 / STEPS_PER_UNIT  # all sums are multiples of this number
    values = np.concatenate([table, weight / STEPS_PER_UNIT], dtype=float)
    integers = (values / quantum).astype(np.int64)
    common = np.bitwise_or.reduce(integers)
    common = np.maximum(common & -common, 1)  # the largest power of two that divides a column
    rows, columns = np.split(integers // common, [len(table)])
    largest = np.abs(rows).max(0) + MAX_NOISE_STEP * np.abs(columns).sum(0)
    if largest.max() >= MAX_FLOAT32_INTEGER or np.abs(columns).max() >= 2**15:
        raise ExportError("float32 does not represent the sums of its first layer exactly")
    factors, groups = np.unique(common, return_inverse=True)
    return rows, columns, np.array([_thresholds(quantum * each, scale) for each in factors]), groups


def _thresholds(quantum: float, scale: Floats) -> list[int]:
    """Return the least integers n for which n * quantum / scale becomes 1, 2, ... 255.

    The quotient is rounded to float32, then half to even. The search ends at 2**24, which no sum
    reaches.
    """

    def byte(number: int) -> float:
        return float(np.rint(np.float32(number * quantum) / scale))

    sums = range(MAX_FLOAT32_INTEGER)
    return [bisect_left(sums, float(each), key=byte) for each in range(1, 256)]
