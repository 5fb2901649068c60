"""Write a quantized generator as an ONNX graph."""

import math
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

    The graph has the QDQ format, with a DequantizeLinear before each layer and a QuantizeLinear
    after it. ONNX Runtime fuses the three into one integer operator. Other runtimes compute the
    same function in float32. A ReLU needs no node, because the zero point of its output is 0. The
    sigmoid is applied to uint8 values, so it is a table of 256 entries.

    The bias of a linear layer is stored in weights of constant inputs. ONNX Runtime's operator with
    a bias, QGemm, computes its output scales again at every run, which takes a third of the time of
    one image (docs/design/0011).

    targets/c finds the tensors table, noise_weight, layerN_weight, layerN_scale and layerN_bias by
    their names.

    Args:
        quantized: the generator.
        opset: ONNX opset version.

    Raises:
        VerificationError: float16 does not represent a scale exactly.
    """
    module, layers = quantized.module, quantized.layers
    scales_and_zeros = iter(quantized.scales_and_zeros)
    # Number of constant inputs of each layer. The last outputs are inputs of no layer.
    constants = [*(_constant_inputs(layer) for layer in layers.values()), 0]
    graph, number, map_size = _Graph(), 0, [1, 1]
    scale, zero = next(scales_and_zeros)
    tensor = graph.quantize(graph.add_first_layer(module, constants[0], scale), scale, zero)
    for name, layer in module.rest.named_children():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            inputs = graph.dequantize(tensor, scale, zero)
            scale, zero = next(scales_and_zeros)
            number += 1
            if isinstance(layer, nn.Linear):
                linear = _store_bias_as_weights(
                    layers[name], constants[number - 1], constants[number], scale
                )
                tensor = graph.add_linear(f"layer{number}", linear, inputs)
            else:
                tensor = graph.add_convolution(f"layer{number}", layer, layers[name], inputs)
            tensor = graph.quantize(tensor, scale, zero)
        elif isinstance(layer, nn.Unflatten):
            map_size = list(layer.unflattened_size[1:])  # rows and columns
            tensor = graph.reshape(tensor, [-1, *layer.unflattened_size])
        elif isinstance(layer, nn.PixelShuffle):
            tensor = graph.pixel_shuffle(tensor, layer.upscale_factor, map_size)
            map_size = [layer.upscale_factor * size for size in map_size]
        elif isinstance(layer, Crop):
            tensor = graph.crop(tensor, [layer.height, layer.width])
    image = graph.add_node("Sigmoid", [graph.dequantize(tensor, LOGIT_SCALE, LOGIT_ZERO)])
    pixels = graph.quantize(image, IMAGE_SCALE, 0)
    graph.reshape(pixels, [-1, *module.image_shape], IMAGE)
    return graph.to_model(module, opset)


def _constant_inputs(layer: QuantizedLayer) -> int:
    """Return the number of constant inputs that form a linear layer's bias."""
    if layer.weight.ndim > 2:
        return 0  # the Conv operator has a bias
    pairs = math.ceil(int(layer.bias.abs().max()) / (MAX_ACTIVATION * MAX_WEIGHT))
    return layer.weight.shape[1] % 2 + 2 * max(1, pairs)


def _constants(count: int) -> Tensor:
    """Return the constant inputs that follow the other inputs of a linear layer, float64 [count].

    They are 255, 1, 255, 0, 255, 0, ... An odd count means that the number of the other inputs is
    odd. A 0 then comes first, which forms a pair with the last other input. The products of a pair
    of constants with their weights add up to at most 255 * 127 + 127, which fits into the 16 bits
    of x86 without VNNI.
    """
    constants, first = torch.zeros(count, dtype=torch.float64), count % 2
    constants[first::2] = MAX_ACTIVATION
    constants[first + 1 : first + 2] = 1
    return constants


def _store_bias_as_weights(
    layer: QuantizedLayer, inputs: int, outputs: int, output_scale: float
) -> QuantizedLayer:
    """Replace a linear layer's bias with weights of constant inputs, and add constant outputs.

    Args:
        layer: a linear layer.
        inputs: number of constant inputs.
        outputs: number of constant outputs, which are the constant inputs of the next layer.
        output_scale: scale of the outputs.

    Returns:
        The layer with these inputs and outputs, and a bias of zeros.
    """
    bias, constants = layer.bias.double(), _constants(inputs)
    multiples = (bias / MAX_ACTIVATION).round()  # [outputs], multiples of 255 in the bias
    columns = torch.zeros(len(bias), inputs, dtype=torch.float64)
    columns[:, constants == 1] = (bias - multiples * MAX_ACTIVATION)[:, None]
    for column in range(inputs % 2, inputs, 2):  # the constants 255
        columns[:, column] = multiples.clamp(-MAX_WEIGHT, MAX_WEIGHT)
        multiples = multiples - columns[:, column]
    weight = torch.cat([layer.weight.double(), columns], dim=1)
    # The first constant input 255 generates the constant outputs. An output of 255 is computed as
    # 510, which saturates to 255 in spite of rounding errors.
    is_255 = _constants(outputs) == MAX_ACTIVATION
    rows = torch.zeros(outputs, weight.shape[1], dtype=torch.float64)
    rows[:, layer.weight.shape[1] + inputs % 2] = _constants(outputs).clamp(max=MAX_WEIGHT)
    scale = torch.full([outputs], output_scale / (MAX_ACTIVATION * layer.input_scale))
    scale[is_255] *= 2 * MAX_ACTIVATION / MAX_WEIGHT
    return QuantizedLayer(
        torch.cat([weight, rows]).to(torch.int8),
        torch.zeros(len(weight) + outputs, dtype=torch.int32),
        torch.cat([layer.weight_scale, scale.half().float()]),
        layer.input_scale,
    )


class _Graph:
    """Collects the nodes and initializers of a graph, in order.

    Methods that add nodes return the name of the output.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add_first_layer(self, module: RewrittenGenerator, outputs: int, scale: float) -> str:
        """Add the first layer, whose weights float16 represents exactly.

        Args:
            module: the generator.
            outputs: number of constant outputs to add, see _constants().
            scale: scale of the outputs.
        """
        constants = _constants(outputs) * scale
        constants[_constants(outputs) == MAX_ACTIVATION] *= 2  # saturates to 255
        rows = constants.half().float().expand(len(module.label_table), -1)
        table = torch.cat([module.label_table, rows], dim=1)
        weight = functional.pad(module.noise_weight, [0, outputs])
        row = self.add_node("Gather", [self.add_float16("table", table), LABEL])
        return self.add_node("Gemm", [NOISE, self.add_float16("noise_weight", weight), row])

    def add_float16(self, name: str, values: Tensor) -> str:
        """Store float32 values as float16 and add a Cast to float32.

        Raises:
            VerificationError: float16 does not represent the values exactly.
        """
        stored = values.detach().half()
        if not torch.equal(stored.float(), values):
            raise VerificationError(
                f"float16 does not represent {name} exactly; export with --precision fp32"
            )
        return self.add_node(
            "Cast", [self.add_constant(name, stored.numpy())], to=TensorProto.FLOAT
        )

    def add_linear(self, name: str, layer: QuantizedLayer, inputs: str) -> str:
        """Add a linear layer without bias for dequantized inputs."""
        scale = self.add_float16(f"{name}_scale", layer.weight_scale)
        weight = layer.weight.T.contiguous()  # [inputs, outputs]
        return self.add_node("MatMul", [inputs, self.add_weight(name, weight, scale, axis=1)])

    def add_convolution(
        self, name: str, layer: nn.Conv2d, quantized: QuantizedLayer, inputs: str
    ) -> str:
        """Add a convolution for dequantized inputs."""
        scale = self.add_float16(f"{name}_scale", quantized.weight_scale)
        weight = self.add_weight(name, quantized.weight, scale, axis=0)
        integers = self.add_constant(f"{name}_bias", quantized.bias.numpy())
        input_scale, _ = self.add_scale_and_zero(quantized.input_scale, 0)
        bias_scale = self.add_node("Mul", [scale, input_scale])
        bias = self.add_node("DequantizeLinear", [integers, bias_scale], axis=0)
        pads, strides = [*layer.padding, *layer.padding], list(layer.stride)  # begins, then ends
        return self.add_node("Conv", [inputs, weight, bias], pads=pads, strides=strides)

    def add_weight(self, name: str, values: Tensor, scale: str, axis: int) -> str:
        """Add an int8 weight with one scale per output, and its DequantizeLinear."""
        zero = self.add_constant(f"{name}_zero", np.zeros(values.shape[axis], np.int8))
        stored = self.add_constant(f"{name}_weight", values.numpy())
        return self.add_node("DequantizeLinear", [stored, scale, zero], axis=axis)

    def quantize(self, tensor: str, scale: float, zero: int) -> str:
        return self.add_node("QuantizeLinear", [tensor, *self.add_scale_and_zero(scale, zero)])

    def dequantize(self, tensor: str, scale: float, zero: int) -> str:
        return self.add_node("DequantizeLinear", [tensor, *self.add_scale_and_zero(scale, zero)])

    def add_scale_and_zero(self, scale: float, zero: int) -> tuple[str, str]:
        """Add a scale and a uint8 zero point; return their names."""
        return (
            self.add_constant(f"scale_{scale:.9g}", np.array(scale, np.float32)),
            self.add_constant(f"zero_{zero}", np.array(zero, np.uint8)),
        )

    def reshape(self, tensor: str, shape: list[int], output: str = "") -> str:
        name = self.add_constant("shape_" + "_".join(map(str, shape)), np.array(shape, np.int64))
        return self.add_node("Reshape", [tensor, name], output)

    def pixel_shuffle(self, tensor: str, block: int, map_size: list[int]) -> str:
        """Add nodes that equal DepthToSpace, which ONNX Runtime 1.20 supports only for floats."""
        rows, columns = map_size
        blocks = self.reshape(tensor, [0, -1, block, block, rows, columns])
        blocks = self.add_node("Transpose", [blocks], perm=[0, 1, 4, 2, 5, 3])
        return self.reshape(blocks, [0, -1, rows * block, columns * block])

    def crop(self, tensor: str, size: list[int]) -> str:
        """Keep the upper left part of feature maps, with this height and width."""
        ends = self.add_constant(f"crop_{size[0]}_{size[1]}", np.array(size, np.int64))
        starts = self.add_constant("crop_start", np.zeros(2, np.int64))
        axes = self.add_constant("crop_axes", np.array([2, 3], np.int64))
        return self.add_node("Slice", [tensor, starts, ends, axes])

    def add_constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Add an initializer, unless its name exists already; return the name."""
        if all(tensor.name != name for tensor in self.initializers):
            self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def add_node(self, operator: str, inputs: list[str], output: str = "", **options: Any) -> str:
        name = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output or name], name, **options))
        return output or name

    def to_model(self, module: RewrittenGenerator, opset: int) -> onnx.ModelProto:
        """Return the graph as a model with the inputs and the output of the model contract."""
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
