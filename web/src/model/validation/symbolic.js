/**
 * Shapes and numbers that depend on the batch size. A port of
 * cgan_runtime/model_file/validation/symbolic.py; change both.
 *
 * A size is {fixed, perImage}, for fixed + perImage * batch size. A tensor is {shape, batchAxis,
 * outer}, as the class Tensor of symbolic.py, with null instead of None. All sizes are bigints.
 */
import { LIMITS } from "../tables.js";

export const product = (sizes) => sizes.reduce((all, size) => all * size, 1n);
export const smallest = (sizes) => sizes.reduce((least, size) => (size < least ? size : least));
export const largest = (sizes) => sizes.reduce((most, size) => (size > most ? size : most));

/** A node cannot run, or is not allowed. error.message is a key of MESSAGES. */
export class ShapeError extends Error {}

/** Throw a ShapeError unless a condition holds. */
export function check(condition, name = "incompatible") {
  if (!condition) throw new ShapeError(name);
}

/** Throw a ShapeError unless the images of a batch do not influence each other. */
export function checkIndependent(condition) {
  check(condition, "mixed images");
}

export const sizeOf = (fixed, perImage = 0n) => ({ fixed, perImage });
export const tensorOf = (shape, batchAxis = null, outer = 1n) => ({ shape, batchAxis, outer });
export const elementsOf = ({ shape }) => product(shape);
export const isBatched = ({ batchAxis }) => batchAxis !== null;

export function isSameSize(left, right) {
  return left.fixed === right.fixed && left.perImage === right.perImage;
}

/** Return whether two tensors have equal shapes, with the batch at the same place. */
export function isSame(left, right) {
  return isSameShape(left.shape, right.shape) && hasSameBatch(left, right);
}

export const isSameShape = (left, right) =>
  left.length === right.length && left.every((size, i) => size === right[i]);

export const hasSameBatch = (left, right) =>
  left.batchAxis === right.batchAxis && left.outer === right.outer;

/** Return whether a tensor has the given shape and does not depend on the batch. */
export const hasFixedShape = (tensor, ...shape) => isSame(tensor, tensorOf(shape));

/** Return the value of an integer that does not depend on the batch size. */
export function numberOf({ fixed, perImage }) {
  checkIndependent(perImage === 0n);
  return fixed;
}

/** Return the sizes of all axes. */
export function sizesOf({ shape, batchAxis }) {
  return shape.map((size, axis) => (axis === batchAxis ? sizeOf(0n, size) : sizeOf(size)));
}

/** Return a tensor with different sizes along axes that do not contain the batch. */
export const withShape = (tensor, shape) => ({ ...tensor, shape });

/** Return a tensor without some axes, none of which contains the batch. */
export function without(tensor, axes) {
  checkIndependent(!axes.includes(tensor.batchAxis));
  const shape = tensor.shape.filter((_, axis) => !axes.includes(axis));
  if (tensor.batchAxis === null) return tensorOf(shape);
  const removed = axes.filter((axis) => axis < tensor.batchAxis).length;
  return tensorOf(shape, tensor.batchAxis - removed, tensor.outer);
}

/** Return a tensor with a different size along an axis that does not contain the batch. */
export function replaced(tensor, axis, size) {
  checkIndependent(axis !== tensor.batchAxis);
  return withShape(
    tensor,
    tensor.shape.map((old, i) => (i === axis ? size : old)),
  );
}

/** Return whether an optional input of a node is present. */
export const has = ({ inputs }, index) => (inputs[index] ?? null) !== null;

/** Return the inputs that are present. */
export const tensorsOf = ({ inputs }) => inputs.filter((tensor) => tensor !== null);

/** Return the values of an input; reject unknown values, because a shape depends on them. */
export function requiredValues(node, index) {
  check(has(node, index) && node.values[index] !== null, "unknown shape");
  return node.values[index];
}

/** Return the values of an input as integers; reject those that depend on the batch size. */
export const numbers = (node, index) => requiredValues(node, index).map(numberOf);

/** Return the only number of an input. */
export function onlyNumber(node, index) {
  return numbers(node, index)[0];
}

/** Return the result of a node with one output: its shape and cost, for a batch of one image. */
export function nodeResult(
  output,
  multiplications = 0n,
  temporaryPerImage = 0n,
  temporaryFixed = 0n,
) {
  return { outputs: [output], multiplications, temporaryPerImage, temporaryFixed };
}

/** Return an axis counted from 0, as a number; a negative one is counted from the end. */
export function axisOf(axis, rank) {
  const count = BigInt(rank);
  check(-count <= axis && axis < count);
  return Number(axis < 0n ? axis + count : axis);
}

/** Return axes counted from 0; reject an axis that occurs twice. */
export function axesOf(axes, rank) {
  const result = axes.map((axis) => axisOf(axis, rank));
  check(new Set(result).size === result.length);
  return result;
}

/** Return the whole numbers below a count. */
export const range = (count) => Array.from({ length: count }, (_, i) => i);

/** Return the tensor with these sizes; one of them may be a multiple of the batch size. */
export function fromSizes(sizes) {
  const batchAxes = range(sizes.length).filter((axis) => sizes[axis].perImage !== 0n);
  checkIndependent(batchAxes.length <= 1);
  checkIndependent(batchAxes.every((axis) => sizes[axis].fixed === 0n));
  const shape = sizes.map(({ fixed, perImage }) => perImage || fixed);
  check(shape.every((size) => size >= 1n));
  return tensorOf(shape, batchAxes[0] ?? null);
}

/** Return the shape to which all tensors broadcast, as in numpy. */
export function broadcast(tensors) {
  const rank = Math.max(...tensors.map(({ shape }) => shape.length));
  const batches = new Map();
  for (const { shape, batchAxis, outer } of tensors) {
    if (batchAxis === null) continue;
    const axis = rank - shape.length + batchAxis;
    batches.set(`${axis} ${outer} ${shape[batchAxis]}`, { axis, outer });
  }
  checkIndependent(batches.size <= 1);
  const [{ axis: batchAxis, outer } = { axis: null, outer: 1n }] = batches.values();
  const result = range(rank).map((axis) =>
    largest(tensors.map(({ shape }) => shape[axis - rank + shape.length] ?? 1n)),
  );
  for (const tensor of tensors) {
    tensor.shape.forEach((size, i) => {
      const axis = rank - tensor.shape.length + i;
      if (axis === batchAxis) checkIndependent(isBatched(tensor) || size === 1n);
      else check(size === 1n || size === result[axis]);
    });
  }
  return tensorOf(result, batchAxis, outer);
}

/** Return a tensor with the same elements in row-major order, and its batch in batchAxis. */
export function reshaped(tensor, shape, batchAxis) {
  checkIndependent(isBatched(tensor) === (batchAxis !== null));
  check(product(shape) === elementsOf(tensor));
  if (batchAxis === null) return tensorOf(shape);
  const beforeBatch = product(tensor.shape.slice(0, tensor.batchAxis)) * tensor.outer;
  const beforeAxis = product(shape.slice(0, batchAxis));
  const outer = beforeBatch / beforeAxis;
  checkIndependent(beforeBatch % beforeAxis === 0n && outer >= 1n);
  checkIndependent(shape[batchAxis] % outer === 0n);
  return tensorOf(shape, batchAxis, outer);
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

/** Return the numbers of a short range. */
export function numbersIn({ first, step, count }) {
  return Array.from({ length: Number(count) }, (_, i) => first + BigInt(i) * step);
}

export const isSmall = (tensor) => elementsOf(tensor) <= BigInt(LIMITS.MAX_KNOWN_VALUES);
