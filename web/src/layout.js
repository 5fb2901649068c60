/**
 * Shape rules of operators that move, select or copy elements, the same as
 * cgan_runtime/model_file/validation/layout_rules.py.
 */
import {
  axesOf,
  axisOf,
  broadcast,
  cost,
  elementsOf,
  fromSizes,
  has,
  hasSameBatch,
  isBatched,
  isFixed,
  isSame,
  isSameSize,
  known,
  largest,
  numberOf,
  numbers,
  onlyNumber,
  product,
  range,
  rangeOf,
  replaced,
  require,
  requireApart,
  size,
  sizesOf,
  slicePositions,
  smallest,
  tensorOf,
  tensorsOf,
  withLayout,
  withShape,
  without,
} from "./symbolic.js";

const TO_THE_END = 2n ** 31n - 1n;
const FLOAT = 1n;

function reshape(node) {
  const [tensor] = node.inputs;
  let target = known(node, 1);
  const sizes = sizesOf(tensor);
  const isZero = (each) => isSameSize(each, size(0n));
  if (!node.attributes.allowzero) {
    require(target.every((each, axis) => !isZero(each) || axis < sizes.length));
    target = target.map((each, axis) => (isZero(each) ? sizes[axis] : each));
  }
  const isOpen = (each) => isSameSize(each, size(-1n));
  const open = range(target.length).filter((axis) => isOpen(target[axis]));
  require(open.length <= 1);
  const fixed = fromSizes(target.map((each) => (isOpen(each) ? size(1n) : each)));
  const shape = [...fixed.shape];
  let { axis } = fixed;
  if (open.length === 1) {
    shape[open[0]] = elementsOf(tensor) / elementsOf(fixed);
    if (isBatched(tensor) && axis === null) [axis] = open;
  }
  return cost(withLayout(tensor, shape, axis));
}

function flatten({ inputs: [tensor], attributes }) {
  const rank = BigInt(tensor.shape.length);
  require(-rank <= attributes.axis && attributes.axis <= rank);
  const axis = Number(attributes.axis < 0n ? attributes.axis + rank : attributes.axis);
  const shape = [product(tensor.shape.slice(0, axis)), product(tensor.shape.slice(axis))];
  const batch = tensor.axis === null ? null : Number(tensor.axis >= axis);
  return cost(withLayout(tensor, shape, batch));
}

function squeeze(node) {
  const [tensor] = node.inputs;
  const { shape } = tensor;
  const axes = has(node, 1)
    ? axesOf(numbers(node, 1), shape.length)
    : range(shape.length).filter((axis) => shape[axis] === 1n);
  require(axes.every((axis) => shape[axis] === 1n));
  return cost(without(tensor, axes));
}

function unsqueeze(node) {
  const [tensor] = node.inputs;
  const axes = numbers(node, 1);
  const rank = tensor.shape.length + axes.length;
  const added = axesOf(axes, rank);
  const old = range(rank).filter((index) => !added.includes(index));
  const shape = range(rank).map(() => 1n);
  old.forEach((index, i) => (shape[index] = tensor.shape[i]));
  return cost(tensorOf(shape, tensor.axis === null ? null : old[tensor.axis], tensor.before));
}

function expand(node) {
  const [tensor] = node.inputs;
  const target = fromSizes(known(node, 1));
  if (isBatched(tensor) && isBatched(target)) target.before = tensor.before;
  return cost(broadcast([tensor, target]));
}

function tile(node) {
  const [tensor] = node.inputs;
  const repeats = fromSizes(known(node, 1));
  require(repeats.shape.length === tensor.shape.length);
  const shape = tensor.shape.map((each, i) => each * repeats.shape[i]);
  if (tensor.axis === null) return cost(tensorOf(shape, repeats.axis));
  requireApart(!isBatched(repeats));
  return cost(tensorOf(shape, tensor.axis, tensor.before * repeats.shape[tensor.axis]));
}

function concat(node) {
  const [first] = node.inputs;
  const axis = axisOf(node.attributes.axis, first.shape.length);
  requireApart(axis !== first.axis);
  let total = 0n;
  for (const each of tensorsOf(node)) {
    require(each.shape.length === first.shape.length);
    requireApart(hasSameBatch(each, first));
    require(isSame(replaced(each, axis, 1n), replaced(first, axis, 1n)));
    total += each.shape[axis];
  }
  return cost(replaced(first, axis, total));
}

function slice(node) {
  const [tensor] = node.inputs;
  const [starts, ends] = [known(node, 1), known(node, 2)];
  const given = has(node, 3) ? numbers(node, 3) : range(starts.length).map(BigInt);
  const axes = axesOf(given, tensor.shape.length);
  const steps = has(node, 4) ? numbers(node, 4) : starts.map(() => 1n);
  require([ends, axes, steps].every((each) => each.length === starts.length));
  const shape = [...tensor.shape];
  axes.forEach((axis, i) => {
    const [start, end, step] = [starts[i], ends[i], steps[i]];
    if (axis === tensor.axis) {
      const isEnd =
        isSameSize(end, sizesOf(tensor)[axis]) || (end.each === 0n && end.fixed >= TO_THE_END);
      requireApart(isSameSize(start, size(0n)) && isEnd && step === 1n);
      return;
    }
    require(step !== 0n);
    shape[axis] = slicePositions(numberOf(start), numberOf(end), step, shape[axis]).count;
  });
  return cost(withShape(tensor, shape));
}

function split(node) {
  const [tensor] = node.inputs;
  const count = node.attributes.num_outputs;
  const axis = axisOf(node.attributes.axis, tensor.shape.length);
  const length = tensor.shape[axis];
  requireApart(axis !== tensor.axis);
  require(has(node, 1) === (count === 0n) && count >= 0n);
  let parts;
  if (has(node, 1)) {
    parts = numbers(node, 1);
  } else {
    const part = (length + count - 1n) / count;
    require(part * (count - 1n) < length);
    parts = range(Number(count)).map(() => part);
    parts[parts.length - 1] = length - part * (count - 1n);
  }
  require(parts.length >= 1 && parts.reduce((sum, part) => sum + part, 0n) === length);
  return { ...cost(tensor), outputs: parts.map((part) => replaced(tensor, axis, part)) };
}

function gather(node) {
  const [data, indices] = tensorsOf(node);
  const axis = axisOf(node.attributes.axis, data.shape.length);
  requireApart(data.axis !== axis && !(isBatched(data) && isBatched(indices)));
  const shape = [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)];
  let batch = null;
  if (isBatched(indices)) batch = axis + indices.axis;
  else if (isBatched(data)) batch = data.axis + (data.axis > axis ? indices.shape.length - 1 : 0);
  const { before } = isBatched(indices) ? indices : data;
  return cost(tensorOf(shape, batch, before), 0n, elementsOf(indices));
}

function gatherElements(node) {
  const [data, indices] = tensorsOf(node);
  const axis = axisOf(node.attributes.axis, data.shape.length);
  require(data.shape.length === indices.shape.length);
  if (isBatched(data)) requireApart(data.axis !== axis && hasSameImages(data, indices));
  else requireApart(indices.axis === null || indices.axis === axis);
  requireWithin(indices, data, axis);
  return cost(indices, 0n, elementsOf(indices));
}

function hasSameImages(one, other) {
  if (!isBatched(one) || !isBatched(other)) return one.axis === other.axis;
  return hasSameBatch(one, other) && one.shape[one.axis] === other.shape[other.axis];
}

function requireWithin(indices, data, axis) {
  require(indices.shape.every((each, i) => i === axis || each <= data.shape[i]));
}

function gatherNd(node) {
  const [data, indices] = tensorsOf(node);
  return cost(partsOf(data, indices), 0n, 2n * elementsOf(indices));
}

/** Return the parts of a tensor at the indices that the last axis of a tensor contains. */
function partsOf(data, indices) {
  const chosen = indices.shape.length - 1;
  require(chosen >= 0 && indices.shape[chosen] <= BigInt(data.shape.length));
  requireApart(indices.axis !== chosen && !(isBatched(data) && isBatched(indices)));
  const count = Number(indices.shape[chosen]);
  const shape = [...indices.shape.slice(0, chosen), ...data.shape.slice(count)];
  if (data.axis === null) return tensorOf(shape, indices.axis, indices.before);
  requireApart(data.axis >= count);
  return tensorOf(shape, chosen + data.axis - count, data.before);
}

function scatterElements(node) {
  const [data, indices, updates] = tensorsOf(node);
  const axis = axisOf(node.attributes.axis, data.shape.length);
  requireApart(axis !== data.axis && axis !== indices.axis && hasSameImages(data, indices));
  require(isSame(indices, updates) && data.shape.length === indices.shape.length);
  requireWithin(indices, data, axis);
  return cost(data, 0n, elementsOf(indices));
}

function scatterNd(node) {
  const [data, indices, updates] = tensorsOf(node);
  require(isSame(partsOf(data, indices), updates));
  requireApart(!isBatched(indices));
  return cost(data, 0n, 2n * elementsOf(indices));
}

function pad(node) {
  const [tensor] = node.inputs;
  const pads = numbers(node, 1);
  const { mode } = node.attributes;
  const rank = tensor.shape.length;
  const axes = axesOf(has(node, 3) ? numbers(node, 3) : range(rank).map(BigInt), rank);
  require(pads.length === 2 * axes.length);
  require(!has(node, 2) || isFixed(node.inputs[2]) || isFixed(node.inputs[2], 1n));
  const shape = [...tensor.shape];
  axes.forEach((axis, index) => {
    const [begin, end] = [pads[index], pads[index + axes.length]];
    requireApart(axis !== tensor.axis || (begin === 0n && end === 0n));
    require(mode === "constant" || smallest([begin, end]) >= 0n);
    const limits = { reflect: shape[axis] - 1n, wrap: shape[axis] };
    require(largest([begin, end]) <= (limits[mode] ?? 2n ** 31n));
    require(smallest([begin, end, begin + end]) > -shape[axis]);
    shape[axis] += begin + end;
  });
  return cost(withShape(tensor, shape));
}

function transpose({ inputs: [tensor], attributes: { perm } }) {
  const sorted = [...perm].sort((a, b) => (a < b ? -1 : 1));
  require(sorted.length === tensor.shape.length && sorted.every((each, i) => each === BigInt(i)));
  const axis = tensor.axis === null ? null : perm.indexOf(BigInt(tensor.axis));
  const shape = perm.map((each) => tensor.shape[each]);
  return cost(tensorOf(shape, axis, tensor.before));
}

function shape({ inputs: [tensor], attributes }) {
  const { count } = shapeRange(attributes, tensor.shape.length);
  require(count > 0n);
  return cost(tensorOf([count]));
}

/** Return the axes that Shape returns. */
export function shapeRange({ start, end }, rank) {
  return slicePositions(start, end, 1n, BigInt(rank));
}

const constant = ({ attributes: { value } }) => cost(value.tensor);

function constantOfShape(node) {
  const { value } = node.attributes;
  require(value === FLOAT || elementsOf(value.tensor) === 1n);
  return cost(fromSizes(known(node, 0)));
}

function rangeRule(node) {
  require(tensorsOf(node).every((each) => isFixed(each)));
  const [start, limit, delta] = range(3).map((index) => onlyNumber(node, index));
  require(delta !== 0n);
  return cost(tensorOf([rangeOf(start, limit, delta).count]));
}

function oneHot(node) {
  const [indices, depth, values] = tensorsOf(node);
  const counts = numbers(node, 1);
  require(elementsOf(depth) === 1n && isFixed(values, 2n));
  const axis = axisOf(node.attributes.axis, indices.shape.length + 1);
  const shape = [...indices.shape.slice(0, axis), counts[0], ...indices.shape.slice(axis)];
  const isMoved = indices.axis !== null && axis <= indices.axis;
  const batch = isMoved ? indices.axis + 1 : indices.axis;
  return cost(tensorOf(shape, batch, indices.before), 0n, elementsOf(indices));
}

function trilu(node) {
  const [tensor] = node.inputs;
  const rank = tensor.shape.length;
  require(rank >= 2 && (!has(node, 1) || elementsOf(node.inputs[1]) === 1n));
  requireApart(tensor.axis === null || tensor.axis < rank - 2);
  return cost(tensor);
}

export const LAYOUT_RULES = {
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
