"""The ONNX graph of a generator in eight-bit integers."""

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from cgan_export.errors import VerificationError
from cgan_export.int8.grid import (
    INK_SCALE,
    LARGEST_ACTIVATION,
    LARGEST_WEIGHT,
    LOGIT_SCALE,
    LOGIT_ZERO,
)
from cgan_export.int8.quantization import QuantizedGenerator, QuantizedLayer
from cgan_export.tracing.trace import ContractGenerator
from cgan_runtime.model_file.contract import BATCH, IMAGE, IR_VERSION, LABEL, NOISE, OPSET


def to_int8_onnx(quantized: QuantizedGenerator, opset: int = OPSET) -> onnx.ModelProto:
    """Make an ONNX model without metadata whose products, but the first layer's, are of integers.

    The graph has ONNX's standard form: a DequantizeLinear before each layer and a QuantizeLinear
    after it. onnxruntime makes one integer operator of the three; what does not, computes the same
    in float32. A ReLU is nothing but the zero point 0, below which a byte cannot go. The sigmoid
    is of a byte, and so a table of 256 entries. A product's bias is weights of units that are
    constant, because onnxruntime's product with a bias, QGemm, works the scales of its outputs out
    anew at each run, which for one image takes a third of the time (docs/design/0011).

    Args:
        quantized: the generator.
        opset: of ONNX's operators.

    Raises:
        VerificationError: it has a layer that has no form in integers.
    """
    module, layers = quantized.first, quantized.layers
    scales = [*(layer.input_scale for layer in layers.values()), LOGIT_SCALE]
    zeros = [*(0 for _ in layers), LOGIT_ZERO]
    # Of each layer's inputs, how many are constants that make up its bias; none after the last.
    constants = [*(_constants(layer) for layer in layers.values()), 0]
    graph = _Graph()
    state = graph.quantize(graph.first(module, constants[0], scales[0]), scales[0], zeros[0])
    done = 0
    for name, layer in module.rest.named_children():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            wide = graph.dequantize(state, scales[done], zeros[done])
            done += 1
            if isinstance(layer, nn.Linear):
                small = _with_constants(
                    layers[name], constants[done - 1], constants[done], scales[done]
                )
                state = graph.product(f"layer{done}", small, wide)
            else:
                state = graph.convolution(f"layer{done}", layer, layers[name], wide)
            state = graph.quantize(state, scales[done], zeros[done])
        elif isinstance(layer, nn.Unflatten):
            state = graph.reshape(state, [-1, *layer.unflattened_size])
        elif isinstance(layer, nn.PixelShuffle) and done == len(layers):
            # What DepthToSpace does, which onnxruntime 1.20 has for floats alone.
            cell = layer.upscale_factor
            grid = [module.height // cell, module.width // cell]
            state = graph.reshape(state, [-1, cell, cell, *grid])
            state = graph.node("Transpose", [state], perm=[0, 3, 1, 4, 2])
        elif not isinstance(layer, nn.Hardtanh):
            raise VerificationError(
                f"int8 knows no {type(layer).__name__}; export with --precision fp16"
            )
    ink = graph.node("Sigmoid", [graph.dequantize(state, LOGIT_SCALE, LOGIT_ZERO)])
    graph.reshape(graph.quantize(ink, INK_SCALE, 0), [-1, 1, module.height, module.width], IMAGE)
    return graph.model(module, opset)


def _constants(layer: QuantizedLayer) -> int:
    """Return how many constant inputs make a product's bias: see _with_constants()."""
    if layer.weight.ndim > 2:
        return 0  # a convolution keeps its bias
    pairs = -(-int(layer.bias.abs().max()) // (LARGEST_ACTIVATION * LARGEST_WEIGHT)) or 1
    return layer.weight.shape[1] % 2 + 2 * pairs


def _with_constants(
    layer: QuantizedLayer, inputs: int, outputs: int, output_scale: float
) -> QuantizedLayer:
    """Turn a product's bias into weights of constant inputs, and let it give constants itself.

    Constants are 255, 1, 255, 0, 255, 0, ..., with a 0 before where that makes their number odd, as
    the number of the inputs before them then is. So no two neighbours add up to more than x86
    without VNNI holds: 255 * 127 + 127 is below 2**15.

    Args:
        layer: a product.
        inputs: how many constants come in, behind the others.
        outputs: how many have to go out.
        output_scale: what a step of its outputs is worth.

    Returns:
        The same with these inputs and outputs, and a bias of nothing.
    """
    bias, large = layer.bias.double(), inputs % 2  # where the first 255 stands
    whole = (bias / LARGEST_ACTIVATION).round()  # [outputs], of 255
    columns = torch.zeros(len(bias), inputs, dtype=torch.float64)
    columns[:, large + 1] = bias - whole * LARGEST_ACTIVATION
    for column in range(large, inputs, 2):
        columns[:, column] = whole.clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT)
        whole = whole - columns[:, column]
    weight = torch.cat([layer.weight.double(), columns], dim=1)
    # What gives 1; and twice as much as gives 255, so that it is 255 whatever rounds.
    rows = torch.zeros(outputs, weight.shape[1], dtype=torch.float64)
    scale = torch.full([outputs], output_scale / (LARGEST_ACTIVATION * layer.input_scale))
    first = outputs % 2
    rows[first::2, large - inputs], rows[first + 1 : first + 2, large - inputs] = LARGEST_WEIGHT, 1
    scale[first::2] *= 2 * LARGEST_ACTIVATION / LARGEST_WEIGHT
    return QuantizedLayer(
        torch.cat([weight, rows]).to(torch.int8),
        torch.zeros(len(weight) + outputs, dtype=torch.int32),
        torch.cat([layer.weight_scale, scale.half().float()]),
        layer.input_scale,
    )


class _Graph:
    """Nodes and initializers, as they come."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def first(self, module: ContractGenerator, constants: int, scale: float) -> str:
        """Add the first layer, whose weights float16 holds exactly; return its outputs' name.

        Behind its outputs come so many constants, those of _with_constants(), in steps of the
        scale; what becomes 255 as a byte is twice as much here.
        """
        values, large = torch.zeros(len(module.label_table), constants), constants % 2
        values[:, large::2] = 2 * LARGEST_ACTIVATION * scale
        values[:, large + 1 : large + 2] = scale
        table = torch.cat([module.label_table, values.half().float()], dim=1)
        weight = functional.pad(module.noise_weight, [0, constants])
        row = self.node("Gather", [self.half("table", table), LABEL])
        return self.node("Gemm", [NOISE, self.half("noise_weight", weight), row])

    def half(self, name: str, values: Tensor) -> str:
        """Store float32 as float16, which must hold them exactly; return the wide ones' name."""
        narrow = values.detach().half()
        if not torch.equal(narrow.float(), values):
            raise VerificationError(f"{name} does not fit float16; export with --precision fp32")
        return self.node("Cast", [self.constant(name, narrow.numpy())], to=TensorProto.FLOAT)

    def product(self, name: str, small: QuantizedLayer, inputs: str) -> str:
        """Add a product of float32 inputs, without a bias; return its outputs' name."""
        scale = self.half(f"{name}_scale", small.weight_scale)
        weight = small.weight.T.contiguous()  # [inputs, outputs]
        return self.node("MatMul", [inputs, self.weight(name, weight, scale, axis=1)])

    def convolution(self, name: str, layer: nn.Conv2d, small: QuantizedLayer, inputs: str) -> str:
        """Add a convolution of float32 inputs; return its outputs' name."""
        if isinstance(layer.padding, str):
            raise VerificationError(
                f"int8 knows no padding {layer.padding!r}; export with --precision fp16"
            )
        scale = self.half(f"{name}_scale", small.weight_scale)
        weight = self.weight(name, small.weight, scale, axis=0)
        whole = self.constant(f"{name}_bias", small.bias.numpy())
        step = self.node("Mul", [scale, self.step(small.input_scale, 0)[0]])
        bias = self.node("DequantizeLinear", [whole, step], axis=0)
        # Height and width at the front, then at the back.
        pads, strides = [*layer.padding, *layer.padding], list(layer.stride)
        return self.node("Conv", [inputs, weight, bias], pads=pads, strides=strides)

    def weight(self, name: str, values: Tensor, scale: str, axis: int) -> str:
        """Add a weight of bytes with a scale for each of an axis; return the wide one's name."""
        zero = self.constant(f"{name}_zero", np.zeros(values.shape[axis], np.int8))
        stored = self.constant(f"{name}_weight", values.numpy())
        return self.node("DequantizeLinear", [stored, scale, zero], axis=axis)

    def quantize(self, source: str, scale: float, zero: int) -> str:
        return self.node("QuantizeLinear", [source, *self.step(scale, zero)])

    def dequantize(self, source: str, scale: float, zero: int) -> str:
        return self.node("DequantizeLinear", [source, *self.step(scale, zero)])

    def step(self, scale: float, zero: int) -> list[str]:
        """Return the names of a scale and a zero point of bytes."""
        return [
            self.constant(f"scale_{scale:.9g}", np.array(scale, np.float32)),
            self.constant(f"zero_{zero}", np.array(zero, np.uint8)),
        ]

    def reshape(self, source: str, shape: list[int], target: str = "") -> str:
        name = self.constant("shape_" + "_".join(map(str, shape)), np.array(shape, np.int64))
        return self.node("Reshape", [source, name], target)

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Add an initializer, unless there is one of that name; return the name."""
        if all(tensor.name != name for tensor in self.initializers):
            self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def node(self, operator: str, inputs: list[str], target: str = "", **attributes: Any) -> str:
        """Add a node; return its output's name."""
        name = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [target or name], name, **attributes))
        return target or name

    def model(self, module: ContractGenerator, opset: int) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "generator",
            [
                helper.make_tensor_value_info(
                    NOISE, TensorProto.FLOAT, [BATCH, len(module.noise_weight)]
                ),
                helper.make_tensor_value_info(LABEL, TensorProto.INT64, [BATCH]),
            ],
            [
                helper.make_tensor_value_info(
                    IMAGE, TensorProto.UINT8, [BATCH, 1, module.height, module.width]
                )
            ],
            self.initializers,
        )
        return helper.make_model(
            graph,
            producer_name="cgan-export",
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=IR_VERSION,
        )
