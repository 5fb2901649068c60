"""Shape rules of operators that compute images. web/src/images.js is the same."""

import math
import struct
from collections.abc import Callable, Sequence

from cgan_runtime.model_file.validation.symbolic import (
    Cost,
    Node,
    Tensor,
    cost,
    require,
    require_apart,
)

_MAX_SPATIAL_AXES = 3
_PER_INTERPOLATED_ELEMENT = 16  # multiplications of a bicubic interpolation


def _spatial(node: Node, kernel: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Return pads, strides and dilations of a convolution or pooling."""
    axes = len(kernel)
    require(1 <= axes <= _MAX_SPATIAL_AXES and node.inputs[0].rank == axes + 2)
    pads = node.attributes["pads"] or [0] * (2 * axes)
    strides = node.attributes["strides"] or [1] * axes
    dilations = node.attributes["dilations"] or [1] * axes
    require(len(strides) == len(dilations) == axes and len(pads) == 2 * axes)
    require(min(*kernel, *strides, *dilations) >= 1 and min(pads) >= 0)
    spans = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    require(max(pads) < max(spans))
    require_apart(node.inputs[0].axis in (None, 0))
    return pads, strides, spans


def _filter_of(node: Node) -> tuple[list[int], int, int]:
    """Return the kernel of a convolution, its groups, and its second number of channels."""
    tensor, weight = node.inputs[:2]
    require(tensor.rank == weight.rank >= 3)
    require_apart(not weight.batched)
    first, second, *kernel = weight.shape
    group = node.attributes["group"]
    require(group >= 1 and first % group == 0)
    require(node.attributes["kernel_shape"] in ([], kernel))
    return kernel, group, second


def _conv(node: Node) -> Cost:
    tensor, weight = node.inputs[:2]
    kernel, group, inputs = _filter_of(node)
    pads, strides, spans = _spatial(node, kernel)
    batch, channels, *size = tensor.shape
    outputs = weight.shape[0]
    require(channels == inputs * group)
    require(all(bias == Tensor((outputs,)) for bias in node.tensors[2:]))
    positions = [
        (size[i] + pads[i] + pads[i + len(size)] - spans[i]) // strides[i] + 1
        for i in range(len(size))
    ]
    # onnxruntime copies the input patches of an image to a matrix (im2col) for each group. This is
    # the number of elements of one such matrix.
    patches = inputs * math.prod(kernel) * math.prod(positions)
    output = tensor.with_shape((batch, outputs, *positions))
    return cost(output, batch * outputs * patches, scratch=group * patches)


def _conv_transpose(node: Node) -> Cost:
    tensor, weight = node.inputs[:2]
    kernel, group, outputs = _filter_of(node)
    pads, strides, spans = _spatial(node, kernel)
    batch, channels, *size = tensor.shape
    extra = node.attributes["output_padding"] or [0] * len(size)
    require(channels == weight.shape[0] and len(extra) == len(size) and min(extra) >= 0)
    require(all(each < stride for each, stride in zip(extra, strides, strict=True)))
    require(all(bias == Tensor((outputs * group,)) for bias in node.tensors[2:]))
    positions = [
        strides[i] * (size[i] - 1) + extra[i] + spans[i] - pads[i] - pads[i + len(size)]
        for i in range(len(size))
    ]
    patches = outputs * math.prod(kernel) * math.prod(size)
    output = tensor.with_shape((batch, outputs * group, *positions))
    return cost(output, batch * channels * patches, scratch=group * patches)


def _pool(node: Node) -> Cost:
    tensor, kernel = node.inputs[0], node.attributes["kernel_shape"]
    require(len(kernel) >= 1)
    pads, strides, spans = _spatial(node, kernel)
    require(all(pads[i] < kernel[i % len(kernel)] for i in range(len(pads))))
    positions = []
    for i, size in enumerate(tensor.shape[2:]):
        room = size + pads[i] + pads[i + len(kernel)] - spans[i]
        require(room >= 0)
        count = room // strides[i] + 1
        if node.attributes["ceil_mode"] and room % strides[i]:
            count += count * strides[i] < size + pads[i]  # a window starts inside of the image
        positions.append(count)
    output = tensor.with_shape((*tensor.shape[:2], *positions))
    return cost(output, output.elements * math.prod(kernel))


def _global_pool(node: Node) -> Cost:
    tensor = node.inputs[0]
    require(tensor.rank >= 3)
    require_apart(tensor.axis in (None, 0))
    return cost(tensor.with_shape((*tensor.shape[:2], *[1] * (tensor.rank - 2))))


def _resize(node: Node) -> Cost:
    tensor = node.inputs[0]
    require(not node.has(1) and node.has(2) != node.has(3))
    if node.has(3):
        target = node.known(3)
        require(len(target) == tensor.rank)
        if tensor.axis is not None:
            require_apart(target[tensor.axis] == tensor.sizes[tensor.axis])
        shape = [size.each if i == tensor.axis else size.number for i, size in enumerate(target)]
    else:
        scales = node.known(2)
        require(len(scales) == tensor.rank and all(0 < scale < 2**20 for scale in scales))
        require_apart(tensor.axis is None or scales[tensor.axis] == 1)
        shape = [_scaled(size, scale) for size, scale in zip(tensor.shape, scales, strict=True)]
    output = tensor.with_shape(shape)
    larger = math.prod(map(max, zip(tensor.shape, output.shape, strict=True)))
    return cost(output, _PER_INTERPOLATED_ELEMENT * larger, larger)


def _scaled(size: int, scale: float) -> int:
    """Return a size times a float32, as onnxruntime computes it in float32."""
    require(size < 2**24)
    product: float = struct.unpack("f", struct.pack("f", size * scale))[0]
    return math.floor(product)


def _grid_sample(node: Node) -> Cost:
    tensor, grid = node.tensors
    require(tensor.rank == grid.rank == 4 and grid.shape[3] == 2)
    require_apart(tensor.axis in (None, 0) and tensor[1:] == grid[1:])
    require(tensor.shape[0] == grid.shape[0])
    output = tensor.with_shape((*tensor.shape[:2], *grid.shape[1:3]))
    return cost(output, _PER_INTERPOLATED_ELEMENT * output.elements)


def _depth_to_space(node: Node) -> Cost:
    tensor, side = node.inputs[0], node.attributes["blocksize"]
    require(tensor.rank == 4 and side >= 1)
    require_apart(tensor.axis in (None, 0))
    batch, channels, height, width = tensor.shape
    require(channels % side**2 == 0)
    return cost(tensor.with_shape((batch, channels // side**2, height * side, width * side)))


def _space_to_depth(node: Node) -> Cost:
    tensor, side = node.inputs[0], node.attributes["blocksize"]
    require(tensor.rank == 4 and side >= 1)
    require_apart(tensor.axis in (None, 0))
    batch, channels, height, width = tensor.shape
    require(height % side == width % side == 0)
    return cost(tensor.with_shape((batch, channels * side**2, height // side, width // side)))


def _col2im(node: Node) -> Cost:
    tensor, image, block = node.inputs[0], node.numbers(1), node.numbers(2)
    axes = len(image)
    pads = node.attributes["pads"] or [0] * (2 * axes)
    strides = node.attributes["strides"] or [1] * axes
    dilations = node.attributes["dilations"] or [1] * axes
    require(tensor.rank == 3 and axes >= 1 and len(block) == len(strides) == len(dilations) == axes)
    require_apart(tensor.axis in (None, 0))
    require(len(pads) == 2 * axes and min(pads) >= 0)
    require(min(*image, *block, *strides, *dilations) >= 1)
    positions = [
        (image[i] + pads[i] + pads[i + axes] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1
        for i in range(axes)
    ]
    require(min(positions) >= 1 and math.prod(positions) == tensor.shape[2])
    require(tensor.shape[1] % math.prod(block) == 0)
    shape = (tensor.shape[0], tensor.shape[1] // math.prod(block), *image)
    return cost(tensor.with_shape(shape), tensor.elements)


IMAGE_RULES: dict[str, Callable[[Node], Cost]] = {
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
