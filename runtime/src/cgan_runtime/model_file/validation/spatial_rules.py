"""Shape rules of convolution, pooling, resizing and other spatial operators.

web/src/model/validation/spatial_rules.js is a port of this module; change both.
"""

import math
import struct
from collections.abc import Callable, Sequence

from cgan_runtime.model_file.validation.symbolic import (
    Node,
    NodeResult,
    Tensor,
    check,
    check_independent,
    node_result,
)

_MAX_SPATIAL_AXES = 3
_INTERPOLATION = 16  # multiplications per element of a bicubic interpolation


def _check_batch_first(tensor: Tensor) -> None:
    check_independent(tensor.batch_axis in (None, 0))


def _window_of(node: Node, kernel: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Return pads, strides and the dilated kernel sizes of a convolution or pooling."""
    axes = len(kernel)
    check(1 <= axes <= _MAX_SPATIAL_AXES and node.inputs[0].rank == axes + 2)
    pads = node.attributes["pads"] or [0] * (2 * axes)
    strides = node.attributes["strides"] or [1] * axes
    dilations = node.attributes["dilations"] or [1] * axes
    check(len(strides) == len(dilations) == axes and len(pads) == 2 * axes)
    check(min(*kernel, *strides, *dilations) >= 1 and min(pads) >= 0)
    spans = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    check(max(pads) < max(spans))
    _check_batch_first(node.inputs[0])
    return pads, strides, spans


def _filter_of(node: Node) -> tuple[list[int], int, int]:
    """Return the kernel sizes of a convolution, its groups, and the weight's second size."""
    tensor, weight = node.inputs[:2]
    check(tensor.rank == weight.rank >= 3)
    check_independent(not weight.batched)
    first, second, *kernel = weight.shape
    groups = node.attributes["group"]
    check(groups >= 1 and first % groups == 0)
    check(node.attributes["kernel_shape"] in ([], kernel))
    return kernel, groups, second


def _conv(node: Node) -> NodeResult:
    tensor, weight = node.inputs[:2]
    kernel, groups, input_channels_per_group = _filter_of(node)
    pads, strides, spans = _window_of(node, kernel)
    batch, channels, *size = tensor.shape
    output_channels = weight.shape[0]
    check(channels == input_channels_per_group * groups)
    check(all(bias == Tensor((output_channels,)) for bias in node.tensors[2:]))
    positions = [
        (size[i] + pads[i] + pads[i + len(size)] - spans[i]) // strides[i] + 1
        for i in range(len(size))
    ]
    # onnxruntime copies the input patches of an image to a matrix (im2col) for each group. This is
    # the number of elements of one such matrix.
    patches = input_channels_per_group * math.prod(kernel) * math.prod(positions)
    output = tensor.with_shape((batch, output_channels, *positions))
    multiplications = batch * output_channels * patches
    return node_result(output, multiplications, temporary_fixed=groups * patches)


def _conv_transpose(node: Node) -> NodeResult:
    tensor, weight = node.inputs[:2]
    kernel, groups, output_channels_per_group = _filter_of(node)
    pads, strides, spans = _window_of(node, kernel)
    batch, channels, *size = tensor.shape
    extra = node.attributes["output_padding"] or [0] * len(size)
    check(channels == weight.shape[0] and len(extra) == len(size) and min(extra) >= 0)
    check(all(padding < stride for padding, stride in zip(extra, strides, strict=True)))
    check(all(bias == Tensor((output_channels_per_group * groups,)) for bias in node.tensors[2:]))
    positions = [
        strides[i] * (size[i] - 1) + extra[i] + spans[i] - pads[i] - pads[i + len(size)]
        for i in range(len(size))
    ]
    patches = output_channels_per_group * math.prod(kernel) * math.prod(size)
    output = tensor.with_shape((batch, output_channels_per_group * groups, *positions))
    return node_result(output, batch * channels * patches, temporary_fixed=groups * patches)


def _pool(node: Node) -> NodeResult:
    tensor, kernel = node.inputs[0], node.attributes["kernel_shape"]
    check(len(kernel) >= 1)
    pads, strides, spans = _window_of(node, kernel)
    check(all(pads[i] < kernel[i % len(kernel)] for i in range(len(pads))))
    positions = []
    for i, size in enumerate(tensor.shape[2:]):
        room = size + pads[i] + pads[i + len(kernel)] - spans[i]
        check(room >= 0)
        count = room // strides[i] + 1
        starts_inside = count * strides[i] < size + pads[i]
        if node.attributes["ceil_mode"] and room % strides[i] and starts_inside:
            count += 1  # one more window, a part of which is outside the image
        positions.append(count)
    output = tensor.with_shape((*tensor.shape[:2], *positions))
    return node_result(output, output.elements * math.prod(kernel))


def _global_pool(node: Node) -> NodeResult:
    tensor = node.inputs[0]
    check(tensor.rank >= 3)
    _check_batch_first(tensor)
    return node_result(tensor.with_shape((*tensor.shape[:2], *[1] * (tensor.rank - 2))))


def _resize(node: Node) -> NodeResult:
    tensor = node.inputs[0]
    check(not node.has(1) and node.has(2) != node.has(3))
    if node.has(3):
        target = node.required_values(3)
        check(len(target) == tensor.rank)
        if tensor.batch_axis is not None:
            check_independent(target[tensor.batch_axis] == tensor.sizes[tensor.batch_axis])
        shape = [
            size.per_image if axis == tensor.batch_axis else size.number
            for axis, size in enumerate(target)
        ]
    else:
        scales = node.required_values(2)
        check(len(scales) == tensor.rank and all(0 < scale < 2**20 for scale in scales))
        check_independent(tensor.batch_axis is None or scales[tensor.batch_axis] == 1)
        shape = [_scaled(size, scale) for size, scale in zip(tensor.shape, scales, strict=True)]
    output = tensor.with_shape(shape)
    intermediate = math.prod(map(max, zip(tensor.shape, output.shape, strict=True)))
    return node_result(output, _INTERPOLATION * intermediate, intermediate)


def _scaled(size: int, scale: float) -> int:
    """Return a size times a float32, as onnxruntime computes it in float32."""
    check(size < 2**24)
    scaled: float = struct.unpack("f", struct.pack("f", size * scale))[0]
    return math.floor(scaled)


def _grid_sample(node: Node) -> NodeResult:
    tensor, grid = node.tensors
    check(tensor.rank == grid.rank == 4 and grid.shape[3] == 2)
    _check_batch_first(tensor)
    check_independent(tensor.has_same_batch(grid))
    check(tensor.shape[0] == grid.shape[0])
    output = tensor.with_shape((*tensor.shape[:2], *grid.shape[1:3]))
    return node_result(output, _INTERPOLATION * output.elements)


def _depth_to_space(node: Node) -> NodeResult:
    tensor, side = node.inputs[0], node.attributes["blocksize"]
    check(tensor.rank == 4 and side >= 1)
    _check_batch_first(tensor)
    batch, channels, height, width = tensor.shape
    check(channels % side**2 == 0)
    shape = (batch, channels // side**2, height * side, width * side)
    return node_result(tensor.with_shape(shape))


def _space_to_depth(node: Node) -> NodeResult:
    tensor, side = node.inputs[0], node.attributes["blocksize"]
    check(tensor.rank == 4 and side >= 1)
    _check_batch_first(tensor)
    batch, channels, height, width = tensor.shape
    check(height % side == width % side == 0)
    shape = (batch, channels * side**2, height // side, width // side)
    return node_result(tensor.with_shape(shape))


def _col2im(node: Node) -> NodeResult:
    tensor, image, block = node.inputs[0], node.numbers(1), node.numbers(2)
    axes = len(image)
    pads = node.attributes["pads"] or [0] * (2 * axes)
    strides = node.attributes["strides"] or [1] * axes
    dilations = node.attributes["dilations"] or [1] * axes
    check(tensor.rank == 3 and axes >= 1 and len(block) == len(strides) == len(dilations) == axes)
    _check_batch_first(tensor)
    check(len(pads) == 2 * axes and min(pads) >= 0)
    check(min(*image, *block, *strides, *dilations) >= 1)
    positions = [
        (image[i] + pads[i] + pads[i + axes] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1
        for i in range(axes)
    ]
    check(min(positions) >= 1 and math.prod(positions) == tensor.shape[2])
    check(tensor.shape[1] % math.prod(block) == 0)
    shape = (tensor.shape[0], tensor.shape[1] // math.prod(block), *image)
    return node_result(tensor.with_shape(shape), tensor.elements)


SPATIAL_RULES: dict[str, Callable[[Node], NodeResult]] = {
    "col2im": _col2im,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "depth_to_space": _depth_to_space,
    "global_pool": _global_pool,
    "grid_sample": _grid_sample,
    "pool": _pool,
    "resize": _resize,
    "space_to_depth": _space_to_depth,
}
