/**
 * Shape rules of convolution, pooling, resizing and other spatial operators. A port of
 * cgan_runtime/model_file/validation/spatial_rules.py; change both.
 */
import {
  check,
  checkIndependent,
  elementsOf,
  has,
  hasFixedShape,
  hasSameBatch,
  isSameShape,
  isSameSize,
  largest,
  nodeResult,
  numberOf,
  numbers,
  product,
  requiredValues,
  sizesOf,
  smallest,
  tensorsOf,
  withShape,
} from "./symbolic.js";

const MAX_SPATIAL_AXES = 3;
const INTERPOLATION = 16n; // multiplications per element of a bicubic interpolation

const checkBatchFirst = ({ batchAxis }) => checkIndependent(batchAxis === null || batchAxis === 0);
const filled = (list, count, value) => (list.length ? list : Array(count).fill(value));

/** Return pads, strides and the dilated kernel sizes of a convolution or pooling. */
function windowOf({ inputs: [tensor], attributes }, kernel) {
  const axes = kernel.length;
  check(1 <= axes && axes <= MAX_SPATIAL_AXES && tensor.shape.length === axes + 2);
  const pads = filled(attributes.pads, 2 * axes, 0n);
  const strides = filled(attributes.strides, axes, 1n);
  const dilations = filled(attributes.dilations, axes, 1n);
  check(strides.length === axes && dilations.length === axes && pads.length === 2 * axes);
  check(smallest([...kernel, ...strides, ...dilations]) >= 1n && smallest(pads) >= 0n);
  const spans = kernel.map((size, i) => (size - 1n) * dilations[i] + 1n);
  check(largest(pads) < largest(spans));
  checkBatchFirst(tensor);
  return { pads, strides, spans };
}

/** Return the kernel sizes of a convolution, its groups, and the weight's second size. */
function filterOf({ inputs: [tensor, weight], attributes }) {
  const { group: groups, kernel_shape: declared } = attributes;
  check(tensor.shape.length === weight.shape.length && weight.shape.length >= 3);
  checkIndependent(weight.batchAxis === null);
  const [first, second, ...kernel] = weight.shape;
  check(groups >= 1n && first % groups === 0n);
  check(declared.length === 0 || isSameShape(declared, kernel));
  return { kernel, groups, secondSize: second };
}

/** Return a quotient rounded down; the division of bigints rounds toward zero. */
const floorDivide = (a, b) => (a < 0n ? (a - b + 1n) / b : a / b);

function conv(node) {
  const [tensor, weight, ...biases] = tensorsOf(node);
  const { kernel, groups, secondSize: inputChannelsPerGroup } = filterOf(node);
  const { pads, strides, spans } = windowOf(node, kernel);
  const [batch, channels, ...size] = tensor.shape;
  const [outputChannels] = weight.shape;
  check(channels === inputChannelsPerGroup * groups);
  check(biases.every((bias) => hasFixedShape(bias, outputChannels)));
  const positions = size.map(
    (side, i) => floorDivide(side + pads[i] + pads[i + size.length] - spans[i], strides[i]) + 1n,
  );
  const patches = inputChannelsPerGroup * product(kernel) * product(positions);
  const output = withShape(tensor, [batch, outputChannels, ...positions]);
  return nodeResult(output, batch * outputChannels * patches, 0n, groups * patches);
}

function convTranspose(node) {
  const [tensor, weight, ...biases] = tensorsOf(node);
  const { kernel, groups, secondSize: outputChannelsPerGroup } = filterOf(node);
  const { pads, strides, spans } = windowOf(node, kernel);
  const [batch, channels, ...size] = tensor.shape;
  const extra = filled(node.attributes.output_padding, size.length, 0n);
  check(channels === weight.shape[0] && extra.length === size.length && smallest(extra) >= 0n);
  check(extra.every((padding, i) => padding < strides[i]));
  check(biases.every((bias) => hasFixedShape(bias, outputChannelsPerGroup * groups)));
  const positions = size.map(
    (side, i) => strides[i] * (side - 1n) + extra[i] + spans[i] - pads[i] - pads[i + size.length],
  );
  const patches = outputChannelsPerGroup * product(kernel) * product(size);
  const output = withShape(tensor, [batch, outputChannelsPerGroup * groups, ...positions]);
  return nodeResult(output, batch * channels * patches, 0n, groups * patches);
}

function pool(node) {
  const [tensor] = node.inputs;
  const { kernel_shape: kernel, ceil_mode: ceil } = node.attributes;
  check(kernel.length >= 1);
  const { pads, strides, spans } = windowOf(node, kernel);
  check(pads.every((padding, i) => padding < kernel[i % kernel.length]));
  const positions = tensor.shape.slice(2).map((size, i) => {
    const room = size + pads[i] + pads[i + kernel.length] - spans[i];
    check(room >= 0n);
    const count = room / strides[i] + 1n;
    const startsInside = count * strides[i] < size + pads[i];
    return ceil && room % strides[i] && startsInside ? count + 1n : count;
  });
  const output = withShape(tensor, [...tensor.shape.slice(0, 2), ...positions]);
  return nodeResult(output, elementsOf(output) * product(kernel));
}

function globalPool({ inputs: [tensor] }) {
  check(tensor.shape.length >= 3);
  checkBatchFirst(tensor);
  return nodeResult(
    withShape(
      tensor,
      tensor.shape.map((size, axis) => (axis < 2 ? size : 1n)),
    ),
  );
}

function resize(node) {
  const [tensor] = node.inputs;
  const { batchAxis } = tensor;
  const rank = tensor.shape.length;
  check(!has(node, 1) && has(node, 2) !== has(node, 3));
  let shape;
  if (has(node, 3)) {
    const target = requiredValues(node, 3);
    check(target.length === rank);
    if (batchAxis !== null) {
      checkIndependent(isSameSize(target[batchAxis], sizesOf(tensor)[batchAxis]));
    }
    shape = target.map((size, axis) => (axis === batchAxis ? size.perImage : numberOf(size)));
  } else {
    const scales = requiredValues(node, 2);
    check(scales.length === rank && scales.every((scale) => 0 < scale && scale < 2 ** 20));
    checkIndependent(batchAxis === null || scales[batchAxis] === 1);
    shape = tensor.shape.map((size, i) => scaled(size, scales[i]));
  }
  const output = withShape(tensor, shape);
  const intermediate = product(shape.map((size, i) => largest([size, tensor.shape[i]])));
  return nodeResult(output, INTERPOLATION * intermediate, intermediate);
}

/** Return a size times a float32, as onnxruntime computes it in float32. */
function scaled(size, scale) {
  check(size < 2n ** 24n);
  return BigInt(Math.floor(Math.fround(Number(size) * scale)));
}

function gridSample(node) {
  const [tensor, grid] = tensorsOf(node);
  check(tensor.shape.length === 4 && grid.shape.length === 4 && grid.shape[3] === 2n);
  checkBatchFirst(tensor);
  checkIndependent(hasSameBatch(tensor, grid));
  check(tensor.shape[0] === grid.shape[0]);
  const output = withShape(tensor, [...tensor.shape.slice(0, 2), ...grid.shape.slice(1, 3)]);
  return nodeResult(output, INTERPOLATION * elementsOf(output));
}

function depthToSpace({ inputs: [tensor], attributes: { blocksize: side } }) {
  check(tensor.shape.length === 4 && side >= 1n);
  checkBatchFirst(tensor);
  const [batch, channels, height, width] = tensor.shape;
  check(channels % side ** 2n === 0n);
  return nodeResult(withShape(tensor, [batch, channels / side ** 2n, height * side, width * side]));
}

function spaceToDepth({ inputs: [tensor], attributes: { blocksize: side } }) {
  check(tensor.shape.length === 4 && side >= 1n);
  checkBatchFirst(tensor);
  const [batch, channels, height, width] = tensor.shape;
  check(height % side === 0n && width % side === 0n);
  return nodeResult(withShape(tensor, [batch, channels * side ** 2n, height / side, width / side]));
}

function col2im(node) {
  const [tensor] = node.inputs;
  const [image, block] = [numbers(node, 1), numbers(node, 2)];
  const axes = image.length;
  const pads = filled(node.attributes.pads, 2 * axes, 0n);
  const strides = filled(node.attributes.strides, axes, 1n);
  const dilations = filled(node.attributes.dilations, axes, 1n);
  check(tensor.shape.length === 3 && axes >= 1);
  check([block, strides, dilations].every(({ length }) => length === axes));
  checkBatchFirst(tensor);
  check(pads.length === 2 * axes && smallest(pads) >= 0n);
  check(smallest([...image, ...block, ...strides, ...dilations]) >= 1n);
  const positions = image.map((size, i) => {
    const room = size + pads[i] + pads[i + axes] - dilations[i] * (block[i] - 1n) - 1n;
    return floorDivide(room, strides[i]) + 1n;
  });
  check(smallest(positions) >= 1n && product(positions) === tensor.shape[2]);
  check(tensor.shape[1] % product(block) === 0n);
  const shape = [tensor.shape[0], tensor.shape[1] / product(block), ...image];
  return nodeResult(withShape(tensor, shape), elementsOf(tensor));
}

export const SPATIAL_RULES = {
  col2im,
  conv,
  conv_transpose: convTranspose,
  depth_to_space: depthToSpace,
  global_pool: globalPool,
  grid_sample: gridSample,
  pool,
  resize,
  space_to_depth: spaceToDepth,
};
