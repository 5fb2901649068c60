"""The ONNX graph of a generator in eight-bit integers."""

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from cgan_export.errors import VerificationError
from cgan_export.graph import ContractGenerator
from cgan_export.quantization import (
    INK_SCALE,
    LOGIT_SCALE,
    LOGIT_ZERO,
    QuantizedGenerator,
    QuantizedLayer,
)
from cgan_runtime.contract import BATCH, IMAGE, IR_VERSION, LABEL, NOISE, OPSET


def to_int8_onnx(quantized: QuantizedGenerator, opset: int = OPSET) -> onnx.ModelProto:
    """Make an ONNX model without metadata whose products, but the first layer's, are of integers.

    The graph has ONNX's standard form: a DequantizeLinear before each layer and a QuantizeLinear
    after it. onnxruntime makes one integer operator of the three; what does not, computes the same
    in float32. A ReLU is nothing but the zero point 0, below which a byte cannot go. The sigmoid
    is of a byte, and so a table of 256 entries.

    Args:
        quantized: the generator.
        opset: of ONNX's operators.

    Raises:
        VerificationError: it has a layer that has no form in integers.
    """
    module, layers = quantized.first, quantized.layers
    scales = [*(layer.input_scale for layer in layers.values()), LOGIT_SCALE]
    zeros = [*(0 for _ in layers), LOGIT_ZERO]
    graph = _Graph()
    state = graph.quantize(graph.first(module), scales[0], zeros[0])
    done = 0
    for name, layer in module.rest.named_children():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            wide = graph.dequantize(state, scales[done], zeros[done])
            done += 1
            state = graph.layer(f"layer{done}", layer, layers[name], wide)
            state = graph.quantize(state, scales[done], zeros[done])
        elif isinstance(layer, nn.Unflatten):
            state = graph.reshape(state, [-1, *layer.unflattened_size])
        elif isinstance(layer, nn.PixelShuffle) and done == len(layers):
            # What DepthToSpace does, which onnxruntime 1.20 has for floats alone.
            cell = layer.upscale_factor
            grid = [module.height // cell, module.width // cell]
            state = graph.reshape(state, [-1, cell, cell, *grid])
            state = graph.node("Transpose", [state], perm=[0, 3, 1, 4, 2])
        elif not isinstance(layer, nn.ReLU):
            raise VerificationError(
                f"int8 knows no {type(layer).__name__}; export with --precision fp16"
            )
    ink = graph.node("Sigmoid", [graph.dequantize(state, LOGIT_SCALE, LOGIT_ZERO)])
    graph.reshape(graph.quantize(ink, INK_SCALE, 0), [-1, 1, module.height, module.width], IMAGE)
    return graph.model(module, opset)


class _Graph:
    """Nodes and initializers, as they come."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def first(self, module: ContractGenerator) -> str:
        """Add the first layer, whose weights float16 holds exactly; return its outputs' name."""
        row = self.node("Gather", [self.half("table", module.label_table), LABEL])
        return self.node("Gemm", [NOISE, self.half("noise_weight", module.noise_weight), row])

    def half(self, name: str, values: Tensor) -> str:
        """Store float32 as float16, which must hold them exactly; return the wide ones' name."""
        narrow = values.detach().half()
        if not torch.equal(narrow.float(), values):
            raise VerificationError(f"{name} does not fit float16; export with --precision fp32")
        return self.node("Cast", [self.constant(name, narrow.numpy())], to=TensorProto.FLOAT)

    def layer(
        self, name: str, layer: nn.Linear | nn.Conv2d, small: QuantizedLayer, inputs: str
    ) -> str:
        """Add a product or convolution of float32 inputs; return its outputs' name."""
        is_product = isinstance(layer, nn.Linear)
        weight = small.weight.T if is_product else small.weight  # [inputs, outputs] for a product
        scale = self.half(f"{name}_scale", small.weight_scale)
        input_scale = self.step(small.input_scale, 0)[0]
        parts = [
            self.node(
                "DequantizeLinear",
                [
                    self.constant(f"{name}_weight", weight.contiguous().numpy()),
                    scale,
                    self.constant(f"{name}_zero", np.zeros(len(small.bias), np.int8)),
                ],
                axis=1 if is_product else 0,
            ),
            self.node(
                "DequantizeLinear",
                [
                    self.constant(f"{name}_bias", small.bias.numpy()),
                    self.node("Mul", [scale, input_scale]),
                ],
                axis=0,
            ),
        ]
        if isinstance(layer, nn.Linear):
            return self.node("Gemm", [inputs, *parts])
        if isinstance(layer.padding, str):
            raise VerificationError(
                f"int8 knows no padding {layer.padding!r}; export with --precision fp16"
            )
        # Height and width at the front, then at the back.
        pads, strides = [*layer.padding, *layer.padding], list(layer.stride)
        return self.node("Conv", [inputs, *parts], pads=pads, strides=strides)

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
