/**
 * Tensors and numbers that depend on the batch size, the same as cgan_runtime/model_file/
 * validation/symbolic.py.
 *
 * A size is {fixed, each}, for fixed + each * batch. A tensor is {shape, axis, before}: its shape
 * for a batch of one image, the axis that contains the batch or null, and the part of that axis
 * before the batch. All sizes are bigints.
 */
import { LIMITS } from "./rules.js";

export const product = (sizes) => sizes.reduce((all, size) => all * size, 1n);
export const smallest = (sizes) => sizes.reduce((least, size) => (size < least ? size : least));
export const largest = (sizes) => sizes.reduce((most, size) => (size > most ? size : most));

/** A node cannot run, or is not allowed. The message is the name of a message. */
export class MisfitError extends Error {}

export function require(condition, name = "misfit") {
  if (!condition) throw new MisfitError(name);
}

/** Throw a MisfitError unless the images of a batch stay apart. */
export function requireApart(condition) {
  require(condition, "mixed images");
}

export const size = (fixed, each = 0n) => ({ fixed, each });
export const tensorOf = (shape, axis = null, before = 1n) => ({ shape, axis, before });
export const elementsOf = ({ shape }) => product(shape);
export const isBatched = ({ axis }) => axis !== null;

export function isSameSize(one, other) {
  return one.fixed === other.fixed && one.each === other.each;
}

/** Return whether two tensors have the same shape, with the batch at the same position. */
export function isSame(one, other) {
  return isSameShape(one.shape, other.shape) && hasSameBatch(one, other);
}

export const isSameShape = (one, other) =>
  one.length === other.length && one.every((each, i) => each === other[i]);

export const hasSameBatch = (one, other) =>
  one.axis === other.axis && one.before === other.before;

/** Return whether a tensor is the same for every batch, and has a shape. */
export const isFixed = (tensor, ...shape) => isSame(tensor, tensorOf(shape));

/** Return the value of a number that does not depend on the batch size. */
export function numberOf({ fixed, each }) {
  requireApart(each === 0n);
  return fixed;
}

/** Return the sizes of all axes. */
export function sizesOf({ shape, axis }) {
  return shape.map((each, i) => (i === axis ? size(0n, each) : size(each)));
}

/** Return a tensor with other sizes along axes that do not contain the batch. */
export const withShape = (tensor, shape) => ({ ...tensor, shape });

/** Return a tensor without some axes, none of which contains the batch. */
export function without(tensor, axes) {
  requireApart(!axes.includes(tensor.axis));
  const shape = tensor.shape.filter((_, axis) => !axes.includes(axis));
  if (tensor.axis === null) return tensorOf(shape);
  const shift = axes.filter((axis) => axis < tensor.axis).length;
  return tensorOf(shape, tensor.axis - shift, tensor.before);
}

/** Return a tensor with another size along an axis that does not contain the batch. */
export function replaced(tensor, axis, length) {
  requireApart(axis !== tensor.axis);
  return withShape(
    tensor,
    tensor.shape.map((each, i) => (i === axis ? length : each)),
  );
}

/** Return whether an optional input of a node is present. */
export const has = ({ inputs }, index) => (inputs[index] ?? null) !== null;

/** Return the inputs that are present. */
export const tensorsOf = ({ inputs }) => inputs.filter((each) => each !== null);

/** Return the content of an input that determines the output's shape. */
export function known(node, index) {
  require(has(node, index) && node.values[index] !== null, "unknown shape");
  return node.values[index];
}

/** Return the content of an input, none of which may depend on the batch size. */
export const numbers = (node, index) => known(node, index).map(numberOf);

/** Return the only number of an input. */
export function onlyNumber(node, index) {
  return numbers(node, index)[0];
}

/** Return what a node returns and needs, for a batch of one image. */
export function cost(output, multiplications = 0n, temporary = 0n, scratch = 0n) {
  return { outputs: [output], multiplications, temporary, scratch };
}

/** Return an axis, counted from 0, as a number. */
export function axisOf(axis, rank) {
  const count = BigInt(rank);
  require(-count <= axis && axis < count);
  return Number(axis < 0n ? axis + count : axis);
}

/** Return different axes, counted from 0. */
export function axesOf(axes, rank) {
  const result = axes.map((axis) => axisOf(axis, rank));
  require(new Set(result).size === result.length);
  return result;
}

/** Return the whole numbers below a count. */
export const range = (count) => Array.from({ length: count }, (_, i) => i);

/** Return the tensor with these sizes; one of them may be a multiple of the batch size. */
export function fromSizes(sizes) {
  const axes = range(sizes.length).filter((axis) => sizes[axis].each !== 0n);
  requireApart(axes.length <= 1 && axes.every((axis) => sizes[axis].fixed === 0n));
  const shape = sizes.map(({ fixed, each }) => each || fixed);
  require(shape.every((each) => each >= 1n));
  return tensorOf(shape, axes[0] ?? null);
}

/** Return the shape to which all tensors broadcast, as numpy does. */
export function broadcast(tensors) {
  const rank = Math.max(...tensors.map(({ shape }) => shape.length));
  const batches = new Map();
  for (const { shape, axis, before } of tensors) {
    if (axis === null) continue;
    const index = rank - shape.length + axis;
    batches.set(`${index} ${before} ${shape[axis]}`, { index, before });
  }
  requireApart(batches.size <= 1);
  const [{ index: axis, before } = { index: null, before: 1n }] = batches.values();
  const result = range(rank).map((i) =>
    largest(tensors.map(({ shape }) => shape[i - rank + shape.length] ?? 1n)),
  );
  for (const tensor of tensors) {
    tensor.shape.forEach((each, own) => {
      const index = rank - tensor.shape.length + own;
      if (index === axis) requireApart(tensor.axis !== null || each === 1n);
      else require(each === 1n || each === result[index]);
    });
  }
  return tensorOf(result, axis, before);
}

/** Return a tensor with the same elements in row-major order, and with its batch in an axis. */
export function withLayout(tensor, shape, axis) {
  requireApart(isBatched(tensor) === (axis !== null));
  require(product(shape) === elementsOf(tensor));
  if (axis === null) return tensorOf(shape);
  const outer = product(tensor.shape.slice(0, tensor.axis)) * tensor.before;
  const left = product(shape.slice(0, axis));
  requireApart(outer % left === 0n && outer >= left && shape[axis] % (outer / left) === 0n);
  return tensorOf(shape, axis, outer / left);
}

/** Return the positions of a slice, as Python's range(*slice(start, end, step).indices(length)). */
export function slicePositions(start, end, step, length) {
  const clamped = (bound) => {
    const [low, high] = step < 0n ? [-1n, length - 1n] : [0n, length];
    const index = bound < 0n ? bound + length : bound;
    return index < low ? low : index > high ? high : index;
  };
  return rangeOf(clamped(start), clamped(end), step);
}

/** Return Python's range(start, end, step) as {first, step, count}. */
export function rangeOf(start, end, step) {
  const span = step > 0n ? end - start : start - end;
  const width = step > 0n ? step : -step;
  return { first: start, step, count: span > 0n ? (span + width - 1n) / width : 0n };
}

/** Return the numbers of a range, which must be few. */
export function numbersIn({ first, step, count }) {
  return Array.from({ length: Number(count) }, (_, i) => first + BigInt(i) * step);
}

export const isSmall = (tensor) => elementsOf(tensor) <= BigInt(LIMITS.MAX_KNOWN_VALUES);
