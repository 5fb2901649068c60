/**
 * Values of small int64 tensors, from which graphs compute shapes. A port of
 * cgan_runtime/model_file/validation/shape_values.py; change both.
 */
import {
  elementsOf,
  has,
  isBatched,
  isSmall,
  numbers,
  numbersIn,
  onlyNumber,
  range,
  rangeOf,
  sizeOf,
  sizesOf,
  slicePositions,
} from "./symbolic.js";
import { shapeRange } from "./tensor_rules.js";

const MAX_VALUE = 2n ** 31n; // larger values are treated as unknown

/** Return the values of a node's int64 output, or null if they are unknown. */
export function valuesOf(operator, node, output) {
  if (operator === "Shape") {
    const axes = shapeRange(node.attributes, node.inputs[0].shape.length);
    return numbersIn(axes).map((axis) => sizesOf(node.inputs[0])[axis]);
  }
  if (!Object.hasOwn(VALUES, operator) || isBatched(output) || !isSmall(output)) return null;
  if (node.values.includes(null)) return null;
  const count = Number(elementsOf(output));
  const result = VALUES[operator](node, count);
  const isLarge = ({ fixed, perImage }) =>
    [fixed, perImage].some((part) => part > MAX_VALUE || part < -MAX_VALUE);
  return result?.length === count && !result.some(isLarge) ? result : null;
}

// Each function below returns the values of an output with `count` elements.

const identity = ({ values: [data] }) => data;

const concat = ({ inputs: [first], values }) => (first.shape.length === 1 ? values.flat() : null);

function slice(node) {
  if (node.inputs[0].shape.length !== 1) return null;
  const [data] = node.values;
  const step = has(node, 4) ? onlyNumber(node, 4) : 1n;
  const [start, end] = [onlyNumber(node, 1), onlyNumber(node, 2)];
  const positions = slicePositions(start, end, step, BigInt(data.length));
  return numbersIn(positions).map((index) => data[index]);
}

function gather(node) {
  const [data] = node.values;
  const indices = numbers(node, 1).map(Number);
  const isInside = (index) => -data.length <= index && index < data.length;
  if (node.inputs[0].shape.length !== 1 || !indices.every(isInside)) return null;
  return indices.map((index) => data.at(index));
}

function expand({ inputs: [tensor], values: [data] }, count) {
  return elementsOf(tensor) === 1n ? range(count).map(() => data[0]) : null;
}

function rangeValues(node) {
  const [start, limit, delta] = range(3).map((index) => onlyNumber(node, index));
  return numbersIn(rangeOf(start, limit, delta)).map((number) => sizeOf(number));
}

function reduceProd({ values: [data] }, count) {
  let product = sizeOf(1n);
  for (const size of data) product = product && multiply(product, size);
  return product && count === 1 ? [product] : null;
}

/** Return a function for a binary operator. An input with one value is broadcast. */
function elementwise(operation) {
  return ({ values }, count) => {
    if (values.some(({ length }) => length !== 1 && length !== count)) return null;
    const [left, right] = values.map((data) =>
      data.length < count ? range(count).map(() => data[0]) : data,
    );
    const results = left.map((size, i) => operation(size, right[i]));
    return results.includes(null) ? null : results;
  };
}

const add = (left, right) => sizeOf(left.fixed + right.fixed, left.perImage + right.perImage);
const subtract = (left, right) => sizeOf(left.fixed - right.fixed, left.perImage - right.perImage);

function multiply(left, right) {
  if (left.perImage && right.perImage) return null;
  const [factor, size] = left.perImage === 0n ? [left.fixed, right] : [right.fixed, left];
  return sizeOf(factor * size.fixed, factor * size.perImage);
}

/** Divide two sizes; onnxruntime rounds toward zero, so only some cases are known. */
function divide(left, right) {
  if (right.perImage === 0n && right.fixed > 0n) {
    if (left.perImage === 0n && left.fixed >= 0n) return sizeOf(left.fixed / right.fixed);
    const isExact = left.fixed % right.fixed === 0n && left.perImage % right.fixed === 0n;
    return isExact ? sizeOf(left.fixed / right.fixed, left.perImage / right.fixed) : null;
  }
  // The quotient of two multiples of the batch size does not depend on the batch size.
  const isRatio = right.perImage > 0n && right.fixed === 0n && left.fixed === 0n;
  const isExact = isRatio && left.perImage % right.perImage === 0n;
  return isExact ? sizeOf(left.perImage / right.perImage) : null;
}

const VALUES = {
  Cast: identity,
  Identity: identity,
  Reshape: identity,
  Squeeze: identity,
  Unsqueeze: identity,
  Flatten: identity,
  Add: elementwise(add),
  Concat: concat,
  Div: elementwise(divide),
  Expand: expand,
  Gather: gather,
  Mul: elementwise(multiply),
  Range: rangeValues,
  ReduceProd: reduceProd,
  Slice: slice,
  Sub: elementwise(subtract),
};
