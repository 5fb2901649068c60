"""The ONNX graph of a quantized generator."""

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from cgan_export.errors import VerificationError
from cgan_export.int8.layer import QuantizedLayer
from cgan_export.int8.quantization import QuantizedGenerator
from cgan_export.int8.scales import (
    IMAGE_SCALE,
    LOGIT_SCALE,
    LOGIT_ZERO,
    MAX_ACTIVATION,
    MAX_WEIGHT,
)
from cgan_export.tracing.networks import RewrittenGenerator
from cgan_runtime.model_file.contract import (
    BATCH_AXIS,
    IMAGE,
    IR_VERSION,
    LABEL,
    NOISE,
    OPSET,
)
from cgan_training.networks import Crop


def export_to_int8_onnx(quantized: QuantizedGenerator, opset: int = OPSET) -> onnx.ModelProto:
    """Return an ONNX model without metadata in which every layer after the first is int8.

    The graph has ONNX's standard form, with a DequantizeLinear before each layer and a
    QuantizeLinear after it. ONNX Runtime fuses the three into one integer operator. Other runtimes
    compute the same in float32. A ReLU needs no node, because the zero point of its output is 0.
    The sigmoid is applied to uint8 values, so it is a table of 256 entries.

    The bias of a linear layer is stored as weights of constant inputs. ONNX Runtime's operator with
    a bias, QGemm, computes its output scales again at every run, which takes a third of the time of
    one image (docs/design/0011).

    targets/c reads the constants table, noise_weight, layerN_weight, layerN_scale and layerN_bias
    by their names.

    Args:
        quantized: the generator.
        opset: ONNX opset version.

    Raises:
        VerificationError: float16 does not represent a scale exactly.
    """
    module, layers = quantized.module, quantized.layers
    scales = [*(layer.input_scale for layer in layers.values()), LOGIT_SCALE]
    zeros = [*(0 for _ in layers), LOGIT_ZERO]
    # Number of constant inputs of each layer, which form its bias. The graph's output needs none.
    constants = [*(_constant_inputs(layer) for layer in layers.values()), 0]
    graph = _Graph()
    state = graph.quantize(graph.first(module, constants[0], scales[0]), scales[0], zeros[0])
    done, grid = 0, [1, 1]
    for name, layer in module.rest.named_children():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            inputs = graph.dequantize(state, scales[done], zeros[done])
            done += 1
            if isinstance(layer, nn.Linear):
                with_constants = _with_constants(
                    layers[name], constants[done - 1], constants[done], scales[done]
                )
                state = graph.linear(f"layer{done}", with_constants, inputs)
            else:
                state = graph.convolution(f"layer{done}", layer, layers[name], inputs)
            state = graph.quantize(state, scales[done], zeros[done])
        elif isinstance(layer, nn.Unflatten):
            grid = list(layer.unflattened_size[1:])  # rows and columns
            state = graph.reshape(state, [-1, *layer.unflattened_size])
        elif isinstance(layer, nn.PixelShuffle):
            state = graph.pixel_shuffle(state, layer.upscale_factor, grid)
            grid = [layer.upscale_factor * size for size in grid]
        elif isinstance(layer, Crop):
            state = graph.crop(state, [layer.height, layer.width])
    image = graph.node("Sigmoid", [graph.dequantize(state, LOGIT_SCALE, LOGIT_ZERO)])
    pixels = graph.quantize(image, IMAGE_SCALE, 0)
    graph.reshape(pixels, [-1, *module.image_shape], IMAGE)
    return graph.model(module, opset)


def _constant_inputs(layer: QuantizedLayer) -> int:
    """Return the number of constant inputs that form a linear layer's bias."""
    if layer.weight.ndim > 2:
        return 0  # the Conv operator has a bias
    pairs = -(-int(layer.bias.abs().max()) // (MAX_ACTIVATION * MAX_WEIGHT)) or 1
    return layer.weight.shape[1] % 2 + 2 * pairs


def _with_constants(
    layer: QuantizedLayer, inputs: int, outputs: int, output_scale: float
) -> QuantizedLayer:
    """Replace a linear layer's bias by weights of constant inputs, and add constant outputs.

    The constants are 255, 1, 255, 0, 255, 0, ... If the number of the other inputs is odd, a 0
    precedes them and completes the last pair of these. The products of a pair of constants with
    their weights add up to at most 255 * 127 + 127, which fits into the 16 bits of x86 without
    VNNI.

    Args:
        layer: a linear layer.
        inputs: number of constant inputs, which follow the others.
        outputs: number of constant outputs, the constant inputs of the next layer.
        output_scale: scale of the outputs.

    Returns:
        The layer with these inputs and outputs, and a bias of zeros.
    """
    bias, large = layer.bias.double(), inputs % 2  # large: index of the first 255
    multiples = (bias / MAX_ACTIVATION).round()  # [outputs], of 255
    columns = torch.zeros(len(bias), inputs, dtype=torch.float64)
    columns[:, large + 1] = bias - multiples * MAX_ACTIVATION
    for column in range(large, inputs, 2):
        columns[:, column] = multiples.clamp(-MAX_WEIGHT, MAX_WEIGHT)
        multiples = multiples - columns[:, column]
    weight = torch.cat([layer.weight.double(), columns], dim=1)
    # The weights that generate the constants. A constant of 255 is computed as 510, which saturates
    # to 255 in spite of rounding errors.
    rows = torch.zeros(outputs, weight.shape[1], dtype=torch.float64)
    scale = torch.full([outputs], output_scale / (MAX_ACTIVATION * layer.input_scale))
    first = outputs % 2
    rows[first::2, large - inputs], rows[first + 1 : first + 2, large - inputs] = MAX_WEIGHT, 1
    scale[first::2] *= 2 * MAX_ACTIVATION / MAX_WEIGHT
    return QuantizedLayer(
        torch.cat([weight, rows]).to(torch.int8),
        torch.zeros(len(weight) + outputs, dtype=torch.int32),
        torch.cat([layer.weight_scale, scale.half().float()]),
        layer.input_scale,
    )


class _Graph:
    """A graph under construction: its nodes and initializers, in order."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def first(self, module: RewrittenGenerator, constants: int, scale: float) -> str:
        """Add the first layer, whose weights float16 represents exactly; return its output's name.

        Args:
            module: the generator.
            constants: number of constant outputs to add, as in _with_constants().
            scale: scale of the outputs.
        """
        values, large = torch.zeros(len(module.label_table), constants), constants % 2
        values[:, large::2] = 2 * MAX_ACTIVATION * scale  # saturates to 255
        values[:, large + 1 : large + 2] = scale
        table = torch.cat([module.label_table, values.half().float()], dim=1)
        weight = functional.pad(module.noise_weight, [0, constants])
        row = self.node("Gather", [self.half("table", table), LABEL])
        return self.node("Gemm", [NOISE, self.half("noise_weight", weight), row])

    def half(self, name: str, values: Tensor) -> str:
        """Store float32 values as float16 and add a Cast to float32; return its output's name.

        Raises:
            VerificationError: float16 does not represent the values exactly.
        """
        stored = values.detach().half()
        if not torch.equal(stored.float(), values):
            raise VerificationError(f"{name} does not fit float16; export with --precision fp32")
        return self.node("Cast", [self.constant(name, stored.numpy())], to=TensorProto.FLOAT)

    def linear(self, name: str, layer: QuantizedLayer, inputs: str) -> str:
        """Add a linear layer without bias for dequantized inputs; return its output's name."""
        scale = self.half(f"{name}_scale", layer.weight_scale)
        weight = layer.weight.T.contiguous()  # [inputs, outputs]
        return self.node("MatMul", [inputs, self.weight(name, weight, scale, axis=1)])

    def convolution(
        self, name: str, layer: nn.Conv2d, quantized: QuantizedLayer, inputs: str
    ) -> str:
        """Add a convolution for dequantized inputs; return its output's name."""
        scale = self.half(f"{name}_scale", quantized.weight_scale)
        weight = self.weight(name, quantized.weight, scale, axis=0)
        integers = self.constant(f"{name}_bias", quantized.bias.numpy())
        bias_scale = self.node("Mul", [scale, self.scale_and_zero(quantized.input_scale, 0)[0]])
        bias = self.node("DequantizeLinear", [integers, bias_scale], axis=0)
        pads, strides = [*layer.padding, *layer.padding], list(layer.stride)  # begins, then ends
        return self.node("Conv", [inputs, weight, bias], pads=pads, strides=strides)

    def weight(self, name: str, values: Tensor, scale: str, axis: int) -> str:
        """Add an int8 weight with one scale per output; return the dequantized weight's name."""
        zero = self.constant(f"{name}_zero", np.zeros(values.shape[axis], np.int8))
        stored = self.constant(f"{name}_weight", values.numpy())
        return self.node("DequantizeLinear", [stored, scale, zero], axis=axis)

    def quantize(self, source: str, scale: float, zero: int) -> str:
        return self.node("QuantizeLinear", [source, *self.scale_and_zero(scale, zero)])

    def dequantize(self, source: str, scale: float, zero: int) -> str:
        return self.node("DequantizeLinear", [source, *self.scale_and_zero(scale, zero)])

    def scale_and_zero(self, scale: float, zero: int) -> list[str]:
        """Add a scale and a uint8 zero point; return their names."""
        return [
            self.constant(f"scale_{scale:.9g}", np.array(scale, np.float32)),
            self.constant(f"zero_{zero}", np.array(zero, np.uint8)),
        ]

    def reshape(self, source: str, shape: list[int], target: str = "") -> str:
        name = self.constant("shape_" + "_".join(map(str, shape)), np.array(shape, np.int64))
        return self.node("Reshape", [source, name], target)

    def pixel_shuffle(self, source: str, block: int, grid: list[int]) -> str:
        """Add what equals DepthToSpace, which ONNX Runtime 1.20 supports only for floats."""
        rows, columns = grid
        state = self.reshape(source, [0, -1, block, block, rows, columns])
        state = self.node("Transpose", [state], perm=[0, 1, 4, 2, 5, 3])
        return self.reshape(state, [0, -1, rows * block, columns * block])

    def crop(self, source: str, size: list[int]) -> str:
        """Keep the upper left part of feature maps, with this height and width."""
        ends = self.constant(f"crop_{size[0]}_{size[1]}", np.array(size, np.int64))
        starts, axes = np.zeros(2, np.int64), np.array([2, 3], np.int64)
        bounds = [self.constant("crop_start", starts), ends, self.constant("crop_axes", axes)]
        return self.node("Slice", [source, *bounds])

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Add an initializer, unless its name exists already; return the name."""
        if all(tensor.name != name for tensor in self.initializers):
            self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def node(self, operator: str, inputs: list[str], target: str = "", **attributes: Any) -> str:
        """Add a node; return its output's name."""
        name = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [target or name], name, **attributes))
        return target or name

    def model(self, module: RewrittenGenerator, opset: int) -> onnx.ModelProto:
        """Return the graph as a model with the inputs and the output of the contract."""
        noise_shape: list[str | int] = [BATCH_AXIS, len(module.noise_weight)]
        image_shape: list[str | int] = [BATCH_AXIS, *module.image_shape]
        graph = helper.make_graph(
            self.nodes,
            "generator",
            [
                helper.make_tensor_value_info(NOISE, TensorProto.FLOAT, noise_shape),
                helper.make_tensor_value_info(LABEL, TensorProto.INT64, [BATCH_AXIS]),
            ],
            [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, image_shape)],
            self.initializers,
        )
        return helper.make_model(
            graph,
            producer_name="cgan-export",
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=IR_VERSION,
        )
