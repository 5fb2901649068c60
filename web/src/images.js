/** Shape rules of operators that compute images, as in cgan_runtime/model_file/validation/image_rules.py. */
import {
  cost,
  elementsOf,
  has,
  hasSameBatch,
  isFixed,
  isSameShape,
  isSameSize,
  known,
  largest,
  numbers,
  product,
  require,
  requireApart,
  sizesOf,
  smallest,
  tensorsOf,
  withShape,
} from "./symbolic.js";

const MAX_SPATIAL_AXES = 3;
const PER_INTERPOLATED_ELEMENT = 16n;

const requireImages = ({ axis }) => requireApart(axis === null || axis === 0);
const filled = (list, count, value) => (list.length ? list : Array(count).fill(value));

/** Return pads, strides and the extents of the kernel of a convolution or pooling. */
function windowOf({ inputs: [tensor], attributes }, kernel) {
  const axes = kernel.length;
  require(1 <= axes && axes <= MAX_SPATIAL_AXES && tensor.shape.length === axes + 2);
  const pads = filled(attributes.pads, 2 * axes, 0n);
  const strides = filled(attributes.strides, axes, 1n);
  const dilations = filled(attributes.dilations, axes, 1n);
  require(strides.length === axes && dilations.length === axes && pads.length === 2 * axes);
  require(smallest([...kernel, ...strides, ...dilations]) >= 1n && smallest(pads) >= 0n);
  const spans = kernel.map((each, i) => (each - 1n) * dilations[i] + 1n);
  require(largest(pads) < largest(spans));
  requireImages(tensor);
  return { pads, strides, spans };
}

/** Return the kernel of a convolution, its groups, and its second number of channels. */
function filterOf({ inputs: [tensor, weight], attributes: { group, kernel_shape: declared } }) {
  require(tensor.shape.length === weight.shape.length && weight.shape.length >= 3);
  requireApart(weight.axis === null);
  const [first, second, ...kernel] = weight.shape;
  require(group >= 1n && first % group === 0n);
  require(declared.length === 0 || isSameShape(declared, kernel));
  return { kernel, group, second };
}

/** Return a quotient rounded down; the division of bigints rounds towards zero. */
const floorDivide = (a, b) => (a < 0n ? (a - b + 1n) / b : a / b);

function conv(node) {
  const [tensor, weight, ...biases] = tensorsOf(node);
  const { kernel, group, second: inputs } = filterOf(node);
  const { pads, strides, spans } = windowOf(node, kernel);
  const [batch, channels, ...size] = tensor.shape;
  const [outputs] = weight.shape;
  require(channels === inputs * group);
  require(biases.every((bias) => isFixed(bias, outputs)));
  const positions = size.map(
    (each, i) => floorDivide(each + pads[i] + pads[i + size.length] - spans[i], strides[i]) + 1n,
  );
  const patches = inputs * product(kernel) * product(positions);
  const output = withShape(tensor, [batch, outputs, ...positions]);
  return cost(output, batch * outputs * patches, 0n, group * patches);
}

function convTranspose(node) {
  const [tensor, weight, ...biases] = tensorsOf(node);
  const { kernel, group, second: outputs } = filterOf(node);
  const { pads, strides, spans } = windowOf(node, kernel);
  const [batch, channels, ...size] = tensor.shape;
  const extra = filled(node.attributes.output_padding, size.length, 0n);
  require(channels === weight.shape[0] && extra.length === size.length && smallest(extra) >= 0n);
  require(extra.every((each, i) => each < strides[i]));
  require(biases.every((bias) => isFixed(bias, outputs * group)));
  const positions = size.map(
    (each, i) => strides[i] * (each - 1n) + extra[i] + spans[i] - pads[i] - pads[i + size.length],
  );
  const patches = outputs * product(kernel) * product(size);
  const output = withShape(tensor, [batch, outputs * group, ...positions]);
  return cost(output, batch * channels * patches, 0n, group * patches);
}

function pool(node) {
  const [tensor] = node.inputs;
  const { kernel_shape: kernel, ceil_mode: ceil } = node.attributes;
  require(kernel.length >= 1);
  const { pads, strides, spans } = windowOf(node, kernel);
  require(pads.every((each, i) => each < kernel[i % kernel.length]));
  const positions = tensor.shape.slice(2).map((size, i) => {
    const room = size + pads[i] + pads[i + kernel.length] - spans[i];
    require(room >= 0n);
    const count = room / strides[i] + 1n;
    const isMore = ceil && room % strides[i] && count * strides[i] < size + pads[i];
    return isMore ? count + 1n : count;
  });
  const output = withShape(tensor, [...tensor.shape.slice(0, 2), ...positions]);
  return cost(output, elementsOf(output) * product(kernel));
}

function globalPool({ inputs: [tensor] }) {
  require(tensor.shape.length >= 3);
  requireImages(tensor);
  return cost(
    withShape(
      tensor,
      tensor.shape.map((each, axis) => (axis < 2 ? each : 1n)),
    ),
  );
}

function resize(node) {
  const [tensor] = node.inputs;
  const { axis } = tensor;
  const rank = tensor.shape.length;
  require(!has(node, 1) && has(node, 2) !== has(node, 3));
  let shape;
  if (has(node, 3)) {
    const target = known(node, 3);
    require(target.length === rank);
    if (axis !== null) requireApart(isSameSize(target[axis], sizesOf(tensor)[axis]));
    shape = target.map(({ fixed, each }, i) => {
      requireApart(i === axis || each === 0n);
      return i === axis ? each : fixed;
    });
  } else {
    const scales = known(node, 2);
    require(scales.length === rank && scales.every((scale) => 0 < scale && scale < 2 ** 20));
    requireApart(axis === null || scales[axis] === 1);
    shape = tensor.shape.map((size, i) => scaled(size, scales[i]));
  }
  const output = withShape(tensor, shape);
  const larger = product(shape.map((each, i) => largest([each, tensor.shape[i]])));
  return cost(output, PER_INTERPOLATED_ELEMENT * larger, larger);
}

/** Return a size times a float32, as onnxruntime computes it in float32. */
function scaled(size, scale) {
  require(size < 2n ** 24n);
  return BigInt(Math.floor(Math.fround(Number(size) * scale)));
}

function gridSample(node) {
  const [tensor, grid] = tensorsOf(node);
  require(tensor.shape.length === 4 && grid.shape.length === 4 && grid.shape[3] === 2n);
  requireImages(tensor);
  requireApart(hasSameBatch(tensor, grid));
  require(tensor.shape[0] === grid.shape[0]);
  const output = withShape(tensor, [...tensor.shape.slice(0, 2), ...grid.shape.slice(1, 3)]);
  return cost(output, PER_INTERPOLATED_ELEMENT * elementsOf(output));
}

function depthToSpace({ inputs: [tensor], attributes: { blocksize: side } }) {
  require(tensor.shape.length === 4 && side >= 1n);
  requireImages(tensor);
  const [batch, channels, height, width] = tensor.shape;
  require(channels % side ** 2n === 0n);
  return cost(withShape(tensor, [batch, channels / side ** 2n, height * side, width * side]));
}

function spaceToDepth({ inputs: [tensor], attributes: { blocksize: side } }) {
  require(tensor.shape.length === 4 && side >= 1n);
  requireImages(tensor);
  const [batch, channels, height, width] = tensor.shape;
  require(height % side === 0n && width % side === 0n);
  return cost(withShape(tensor, [batch, channels * side ** 2n, height / side, width / side]));
}

function col2im(node) {
  const [tensor] = node.inputs;
  const [image, block] = [numbers(node, 1), numbers(node, 2)];
  const axes = image.length;
  const pads = filled(node.attributes.pads, 2 * axes, 0n);
  const strides = filled(node.attributes.strides, axes, 1n);
  const dilations = filled(node.attributes.dilations, axes, 1n);
  require(tensor.shape.length === 3 && axes >= 1);
  require([block, strides, dilations].every((each) => each.length === axes));
  requireImages(tensor);
  require(pads.length === 2 * axes && smallest(pads) >= 0n);
  require(smallest([...image, ...block, ...strides, ...dilations]) >= 1n);
  const positions = image.map((each, i) => {
    const room = each + pads[i] + pads[i + axes] - dilations[i] * (block[i] - 1n) - 1n;
    return floorDivide(room, strides[i]) + 1n;
  });
  require(smallest(positions) >= 1n && product(positions) === tensor.shape[2]);
  require(tensor.shape[1] % product(block) === 0n);
  const shape = [tensor.shape[0], tensor.shape[1] / product(block), ...image];
  return cost(withShape(tensor, shape), elementsOf(tensor));
}

export const IMAGE_RULES = {
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
