/**
 * The shape rule of each operator, the same as cgan_runtime/model_file/shape_inference.py.
 *
 * A tensor is {shape, batched}: the shape is a list of bigints, and if batched, the first axis is
 * that size times the batch size. A rule returns {output, multiplications, temporary} of a node
 * {inputs, attributes, constant}.
 */
import { LIMITS, TYPES } from "./rules.js";

const INT64 = 7n;
const product = (sizes) => sizes.reduce((all, size) => all * size, 1n);
const smallest = (sizes) => sizes.reduce((least, size) => (size < least ? size : least));
const largest = (sizes) => sizes.reduce((most, size) => (size > most ? size : most));

/** The inputs or attributes of a node do not fit. */
export class MisfitError extends Error {}

/** Return the number of elements for the largest batch. */
export function elementsOf({ shape, batched }) {
  return product(shape) * (batched ? BigInt(LIMITS.MAX_BATCH) : 1n);
}

/** Return whether two tensors have the same shape. */
export function isSame(one, other) {
  return one.batched === other.batched && String(one.shape) === String(other.shape);
}

function require(condition) {
  if (!condition) throw new MisfitError();
}

const cost = (output, multiplications = 0n, temporary = 0n) => {
  return { output, multiplications, temporary };
};

function broadcastPair(one, other) {
  const batched = one.batched || other.batched;
  if (one.batched && other.batched) {
    require(one.shape.length === other.shape.length && one.shape[0] === other.shape[0]);
  } else if (batched) {
    const [longer, fixed] = one.batched ? [one, other] : [other, one];
    require(fixed.shape.length < longer.shape.length || fixed.shape[0] === 1n);
    require(fixed.shape.length <= longer.shape.length);
  }
  const shape = [];
  for (let axis = 1; axis <= Math.max(one.shape.length, other.shape.length); axis++) {
    const [a, b] = [one.shape.at(-axis) ?? 1n, other.shape.at(-axis) ?? 1n];
    require(a === b || a === 1n || b === 1n);
    shape.unshift(a > b ? a : b);
  }
  return { shape, batched };
}

const elementwise = ({ inputs }) => cost(inputs[0]);

const broadcast = ({ inputs }) => cost(broadcastPair(inputs[0], inputs[1]));

function cast({ inputs, attributes: { to } }) {
  require(to in TYPES && to !== INT64);
  return cost(inputs[0]);
}

function clip({ inputs: [tensor, ...limits] }) {
  require(limits.every(({ shape, batched }) => !batched && shape.length === 0));
  return cost(tensor);
}

function quantize({ inputs: [tensor, ...parameters], attributes: { axis } }) {
  const axes = BigInt(tensor.shape.length);
  for (const parameter of parameters) {
    require(!parameter.batched && String(parameter.shape) === String(parameters[0].shape));
    if (!["", "1"].includes(String(parameter.shape))) {
      require(-axes <= axis && axis < axes && !(tensor.batched && axis % axes === 0n));
      require(String(parameter.shape) === String(tensor.shape.at(Number(axis))));
    }
  }
  return cost(tensor);
}

function gather({ inputs: [data, indices], attributes: { axis } }) {
  require(axis === 0n && data.shape.length > 0 && !data.batched);
  const shape = [...indices.shape, ...data.shape.slice(1)];
  const copied = elementsOf(indices);
  return cost({ shape, batched: indices.batched }, 0n, copied);
}

function gemm({ inputs: [left, right, ...biases], attributes: { transA = 0n, transB = 0n } }) {
  require(left.shape.length === 2 && right.shape.length === 2 && !right.batched);
  let [rows, inner] = left.shape;
  let [other, columns] = right.shape;
  if (transA) {
    require(!left.batched);
    [rows, inner] = [inner, rows];
  }
  if (transB) [other, columns] = [columns, other];
  const output = { shape: [rows, columns], batched: left.batched };
  require(inner === other);
  require(biases.every((bias) => isSame(broadcastPair(output, bias), output)));
  return cost(output, elementsOf(output) * inner);
}

function conv({ inputs: [tensor, weight, ...biases], attributes }) {
  const { pads, strides, dilations, group, kernel_shape: kernelShape } = attributes;
  require(tensor.shape.length === 4 && weight.shape.length === 4 && !weight.batched);
  const [batch, channels, ...size] = tensor.shape;
  const [outputs, inputs, ...kernel] = weight.shape;
  require(strides.length === 2 && dilations.length === 2 && pads.length === 4);
  require(smallest(pads) >= 0n && largest(pads) < largest(kernel));
  require(smallest([...strides, ...dilations, group]) >= 1n);
  require(channels === inputs * group && outputs % group === 0n);
  require(kernelShape.length === 0 || String(kernelShape) === String(kernel));
  require(biases.every((bias) => isSame(bias, { shape: [outputs], batched: false })));
  const positions = [0, 1].map((i) => {
    const span = size[i] + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1n) - 1n;
    // Division of bigints rounds towards zero, but Python rounds down.
    return (span < 0n ? (span - strides[i] + 1n) / strides[i] : span / strides[i]) + 1n;
  });
  const patches = inputs * product(kernel) * product(positions);
  const output = { shape: [batch, outputs, ...positions], batched: tensor.batched };
  const images = elementsOf({ shape: [batch], batched: tensor.batched });
  return cost(output, images * outputs * patches, group * patches);
}

function reshape({ inputs: [{ shape: old, batched }], attributes: { allowzero }, constant }) {
  if (constant === undefined) throw new MisfitError();
  require(constant.filter((size) => size === -1n).length <= 1);
  require(!(constant.includes(0n) && allowzero));
  require(!batched || (constant.length > 0 && [-1n, 0n].includes(constant[0])));
  require(constant.every((size, axis) => size !== 0n || axis < old.length));
  let shape = constant.map((size, axis) => (size === 0n ? old[axis] : size));
  require(shape.every((size) => size === -1n || size >= 1n));
  const known = product(shape.filter((size) => size !== -1n));
  shape = shape.map((size) => (size === -1n ? product(old) / known : size));
  require(product(shape) === product(old));
  return cost({ shape, batched });
}

function transpose({ inputs: [{ shape, batched }], attributes: { perm } }) {
  const sorted = [...perm].sort((a, b) => (a < b ? -1 : 1));
  require(String(sorted) === String([...shape.keys()]) && !(batched && perm[0] !== 0n));
  return cost({ shape: perm.map((axis) => shape[axis]), batched });
}

function depthToSpace({ inputs: [{ shape, batched }], attributes: { blocksize: side } }) {
  require(shape.length === 4 && side >= 1n);
  const [batch, channels, height, width] = shape;
  require(channels % side ** 2n === 0n);
  return cost({ shape: [batch, channels / side ** 2n, height * side, width * side], batched });
}

export const RULES = {
  broadcast,
  cast,
  clip,
  conv,
  depth_to_space: depthToSpace,
  elementwise,
  gather,
  gemm,
  quantize,
  reshape,
  transpose,
};
