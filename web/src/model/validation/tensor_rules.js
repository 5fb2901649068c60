/**
 * Shape rules of operators that create, move, select or copy elements. A port of
 * cgan_runtime/model_file/validation/tensor_rules.py; change both.
 */
import {
  axesOf,
  axisOf,
  broadcast,
  check,
  checkIndependent,
  elementsOf,
  fromSizes,
  has,
  hasFixedShape,
  hasSameBatch,
  isBatched,
  isSame,
  isSameSize,
  largest,
  nodeResult,
  numberOf,
  numbers,
  onlyNumber,
  product,
  range,
  rangeOf,
  replaced,
  requiredValues,
  reshaped,
  sizeOf,
  sizesOf,
  slicePositions,
  smallest,
  tensorOf,
  tensorsOf,
  withShape,
  without,
} from "./symbolic.js";

const TO_THE_END = 2n ** 31n - 1n; // Slice with at least this end takes everything up to the end
const MAX_PAD = 2n ** 31n;
const FLOAT = 1n;

function reshape(node) {
  const [tensor] = node.inputs;
  let target = requiredValues(node, 1);
  const sizes = sizesOf(tensor);
  const isZero = (size) => isSameSize(size, sizeOf(0n));
  if (!node.attributes.allowzero) {
    check(target.every((size, axis) => !isZero(size) || axis < sizes.length));
    target = target.map((size, axis) => (isZero(size) ? sizes[axis] : size));
  }
  const isInferred = (size) => isSameSize(size, sizeOf(-1n));
  const inferredAxes = range(target.length).filter((axis) => isInferred(target[axis]));
  check(inferredAxes.length <= 1);
  const given = fromSizes(target.map((size) => (isInferred(size) ? sizeOf(1n) : size)));
  const shape = [...given.shape];
  let { batchAxis } = given;
  if (inferredAxes.length === 1) {
    shape[inferredAxes[0]] = elementsOf(tensor) / elementsOf(given);
    if (isBatched(tensor) && batchAxis === null) [batchAxis] = inferredAxes;
  }
  return nodeResult(reshaped(tensor, shape, batchAxis));
}

function flatten({ inputs: [tensor], attributes }) {
  const rank = BigInt(tensor.shape.length);
  check(-rank <= attributes.axis && attributes.axis <= rank);
  const axis = Number(attributes.axis < 0n ? attributes.axis + rank : attributes.axis);
  const shape = [product(tensor.shape.slice(0, axis)), product(tensor.shape.slice(axis))];
  const batchAxis = tensor.batchAxis === null ? null : Number(tensor.batchAxis >= axis);
  return nodeResult(reshaped(tensor, shape, batchAxis));
}

function squeeze(node) {
  const [tensor] = node.inputs;
  const { shape } = tensor;
  const axes = has(node, 1)
    ? axesOf(numbers(node, 1), shape.length)
    : range(shape.length).filter((axis) => shape[axis] === 1n);
  check(axes.every((axis) => shape[axis] === 1n));
  return nodeResult(without(tensor, axes));
}

function unsqueeze(node) {
  const [tensor] = node.inputs;
  const axes = numbers(node, 1);
  const rank = tensor.shape.length + axes.length;
  const added = axesOf(axes, rank);
  const old = range(rank).filter((index) => !added.includes(index));
  const shape = range(rank).map(() => 1n);
  old.forEach((index, i) => (shape[index] = tensor.shape[i]));
  const batchAxis = tensor.batchAxis === null ? null : old[tensor.batchAxis];
  return nodeResult(tensorOf(shape, batchAxis, tensor.outer));
}

function expand(node) {
  const [tensor] = node.inputs;
  const target = fromSizes(requiredValues(node, 1));
  if (isBatched(tensor) && isBatched(target)) target.outer = tensor.outer;
  return nodeResult(broadcast([tensor, target]));
}

function tile(node) {
  const [tensor] = node.inputs;
  const repeats = fromSizes(requiredValues(node, 1));
  check(repeats.shape.length === tensor.shape.length);
  const shape = tensor.shape.map((size, axis) => size * repeats.shape[axis]);
  if (tensor.batchAxis === null) return nodeResult(tensorOf(shape, repeats.batchAxis));
  checkIndependent(!isBatched(repeats));
  const outer = tensor.outer * repeats.shape[tensor.batchAxis];
  return nodeResult(tensorOf(shape, tensor.batchAxis, outer));
}

function concat(node) {
  const [first] = node.inputs;
  const axis = axisOf(node.attributes.axis, first.shape.length);
  checkIndependent(axis !== first.batchAxis);
  let total = 0n;
  for (const tensor of tensorsOf(node)) {
    check(tensor.shape.length === first.shape.length);
    checkIndependent(hasSameBatch(tensor, first));
    check(isSame(replaced(tensor, axis, 1n), replaced(first, axis, 1n)));
    total += tensor.shape[axis];
  }
  return nodeResult(replaced(first, axis, total));
}

function slice(node) {
  const [tensor] = node.inputs;
  const [starts, ends] = [requiredValues(node, 1), requiredValues(node, 2)];
  const given = has(node, 3) ? numbers(node, 3) : range(starts.length).map(BigInt);
  const axes = axesOf(given, tensor.shape.length);
  const steps = has(node, 4) ? numbers(node, 4) : starts.map(() => 1n);
  check([ends, axes, steps].every(({ length }) => length === starts.length));
  const shape = [...tensor.shape];
  axes.forEach((axis, i) => {
    const [start, end, step] = [starts[i], ends[i], steps[i]];
    if (axis === tensor.batchAxis) {
      const isEnd =
        isSameSize(end, sizesOf(tensor)[axis]) || (end.perImage === 0n && end.fixed >= TO_THE_END);
      checkIndependent(isSameSize(start, sizeOf(0n)) && isEnd && step === 1n);
      return;
    }
    check(step !== 0n);
    shape[axis] = slicePositions(numberOf(start), numberOf(end), step, shape[axis]).count;
  });
  return nodeResult(withShape(tensor, shape));
}

function split(node) {
  const [tensor] = node.inputs;
  const count = node.attributes.num_outputs;
  const axis = axisOf(node.attributes.axis, tensor.shape.length);
  const length = tensor.shape[axis];
  checkIndependent(axis !== tensor.batchAxis);
  check(has(node, 1) === (count === 0n) && count >= 0n);
  let parts;
  if (has(node, 1)) {
    parts = numbers(node, 1);
  } else {
    const part = (length + count - 1n) / count;
    check(part * (count - 1n) < length);
    parts = range(Number(count)).map(() => part);
    parts[parts.length - 1] = length - part * (count - 1n);
  }
  check(parts.length >= 1 && parts.reduce((sum, part) => sum + part, 0n) === length);
  return { ...nodeResult(tensor), outputs: parts.map((part) => replaced(tensor, axis, part)) };
}

function gather(node) {
  const [data, indices] = tensorsOf(node);
  const axis = axisOf(node.attributes.axis, data.shape.length);
  checkIndependent(data.batchAxis !== axis && !(isBatched(data) && isBatched(indices)));
  const shape = [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)];
  let output = tensorOf(shape);
  if (isBatched(indices)) output = tensorOf(shape, axis + indices.batchAxis, indices.outer);
  else if (isBatched(data)) {
    const shift = data.batchAxis > axis ? indices.shape.length - 1 : 0;
    output = tensorOf(shape, data.batchAxis + shift, data.outer);
  }
  return nodeResult(output, 0n, elementsOf(indices));
}

function gatherElements(node) {
  const [data, indices] = tensorsOf(node);
  const axis = axisOf(node.attributes.axis, data.shape.length);
  check(data.shape.length === indices.shape.length);
  if (isBatched(data)) checkIndependent(data.batchAxis !== axis && hasSameImages(data, indices));
  else checkIndependent(indices.batchAxis === null || indices.batchAxis === axis);
  checkWithin(indices, data, axis);
  return nodeResult(indices, 0n, elementsOf(indices));
}

/** Return whether elements at the same position along the batch axis belong to one image. */
function hasSameImages(left, right) {
  if (!isBatched(left) || !isBatched(right)) return left.batchAxis === right.batchAxis;
  return hasSameBatch(left, right) && left.shape[left.batchAxis] === right.shape[right.batchAxis];
}

/** Throw a ShapeError if indices are larger than data along an axis other than this one. */
function checkWithin(indices, data, axis) {
  check(indices.shape.every((size, i) => i === axis || size <= data.shape[i]));
}

function gatherNd(node) {
  const [data, indices] = tensorsOf(node);
  return nodeResult(gathered(data, indices), 0n, 2n * elementsOf(indices));
}

/** Return the slices of `data` at the index tuples in the last axis of `indices`. */
function gathered(data, indices) {
  const lastAxis = indices.shape.length - 1;
  check(lastAxis >= 0 && indices.shape[lastAxis] <= BigInt(data.shape.length));
  checkIndependent(indices.batchAxis !== lastAxis && !(isBatched(data) && isBatched(indices)));
  const tupleLength = Number(indices.shape[lastAxis]);
  const shape = [...indices.shape.slice(0, lastAxis), ...data.shape.slice(tupleLength)];
  if (data.batchAxis === null) return tensorOf(shape, indices.batchAxis, indices.outer);
  checkIndependent(data.batchAxis >= tupleLength);
  return tensorOf(shape, lastAxis + data.batchAxis - tupleLength, data.outer);
}

function scatterElements(node) {
  const [data, indices, updates] = tensorsOf(node);
  const axis = axisOf(node.attributes.axis, data.shape.length);
  checkIndependent(axis !== data.batchAxis && axis !== indices.batchAxis);
  checkIndependent(hasSameImages(data, indices));
  check(isSame(indices, updates) && data.shape.length === indices.shape.length);
  checkWithin(indices, data, axis);
  return nodeResult(data, 0n, elementsOf(indices));
}

function scatterNd(node) {
  const [data, indices, updates] = tensorsOf(node);
  check(isSame(gathered(data, indices), updates));
  checkIndependent(!isBatched(indices));
  return nodeResult(data, 0n, 2n * elementsOf(indices));
}

function pad(node) {
  const [tensor] = node.inputs;
  const pads = numbers(node, 1);
  const { mode } = node.attributes;
  const rank = tensor.shape.length;
  const axes = axesOf(has(node, 3) ? numbers(node, 3) : range(rank).map(BigInt), rank);
  check(pads.length === 2 * axes.length);
  check(!has(node, 2) || hasFixedShape(node.inputs[2]) || hasFixedShape(node.inputs[2], 1n));
  const shape = [...tensor.shape];
  axes.forEach((axis, index) => {
    const [begin, end] = [pads[index], pads[index + axes.length]];
    checkIndependent(axis !== tensor.batchAxis || (begin === 0n && end === 0n));
    check(mode === "constant" || smallest([begin, end]) >= 0n);
    const limits = { reflect: shape[axis] - 1n, wrap: shape[axis] };
    check(largest([begin, end]) <= (limits[mode] ?? MAX_PAD));
    check(smallest([begin, end, begin + end]) > -shape[axis]);
    shape[axis] += begin + end;
  });
  return nodeResult(withShape(tensor, shape));
}

function transpose({ inputs: [tensor], attributes: { perm } }) {
  const sorted = [...perm].sort((a, b) => (a < b ? -1 : 1));
  check(sorted.length === tensor.shape.length && sorted.every((axis, i) => axis === BigInt(i)));
  const batchAxis = tensor.batchAxis === null ? null : perm.indexOf(BigInt(tensor.batchAxis));
  const shape = perm.map((axis) => tensor.shape[axis]);
  return nodeResult(tensorOf(shape, batchAxis, tensor.outer));
}

function shape({ inputs: [tensor], attributes }) {
  const { count } = shapeRange(attributes, tensor.shape.length);
  check(count > 0n);
  return nodeResult(tensorOf([count]));
}

/** Return the axes whose sizes Shape returns. */
export function shapeRange({ start, end }, rank) {
  return slicePositions(start, end, 1n, BigInt(rank));
}

const constant = ({ attributes: { value } }) => nodeResult(value.tensor);

function constantOfShape(node) {
  const { value } = node.attributes;
  check(value === FLOAT || elementsOf(value.tensor) === 1n);
  return nodeResult(fromSizes(requiredValues(node, 0)));
}

function rangeRule(node) {
  check(tensorsOf(node).every((tensor) => hasFixedShape(tensor)));
  const [start, limit, delta] = range(3).map((index) => onlyNumber(node, index));
  check(delta !== 0n);
  return nodeResult(tensorOf([rangeOf(start, limit, delta).count]));
}

function oneHot(node) {
  const [indices, depth, values] = tensorsOf(node);
  const counts = numbers(node, 1);
  check(elementsOf(depth) === 1n && hasFixedShape(values, 2n));
  const axis = axisOf(node.attributes.axis, indices.shape.length + 1);
  const shape = [...indices.shape.slice(0, axis), counts[0], ...indices.shape.slice(axis)];
  const isMoved = indices.batchAxis !== null && axis <= indices.batchAxis;
  const batchAxis = isMoved ? indices.batchAxis + 1 : indices.batchAxis;
  return nodeResult(tensorOf(shape, batchAxis, indices.outer), 0n, elementsOf(indices));
}

function trilu(node) {
  const [tensor] = node.inputs;
  const rank = tensor.shape.length;
  check(rank >= 2 && (!has(node, 1) || elementsOf(node.inputs[1]) === 1n));
  checkIndependent(tensor.batchAxis === null || tensor.batchAxis < rank - 2);
  return nodeResult(tensor);
}

export const TENSOR_RULES = {
  concat,
  constant,
  constant_of_shape: constantOfShape,
  expand,
  flatten,
  gather,
  gather_elements: gatherElements,
  gather_nd: gatherNd,
  one_hot: oneHot,
  pad,
  range: rangeRule,
  reshape,
  scatter_elements: scatterElements,
  scatter_nd: scatterNd,
  shape,
  slice,
  split,
  squeeze,
  tile,
  transpose,
  trilu,
  unsqueeze,
};
