/**
 * The content of small tensors of whole numbers, from which graphs compute shapes, the same as
 * cgan_runtime/model_file/validation/shape_values.py.
 */
import { shapeRange } from "./layout.js";
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
  size,
  sizesOf,
  slicePositions,
} from "./symbolic.js";

const LIMIT = 2n ** 31n;

/** Return the content of a node's int64 output, or null if it is not known. */
export function valuesOf(kind, node, output) {
  if (kind === "Shape") {
    const axes = shapeRange(node.attributes, node.inputs[0].shape.length);
    return numbersIn(axes).map((axis) => sizesOf(node.inputs[0])[axis]);
  }
  if (!Object.hasOwn(VALUES, kind) || isBatched(output) || !isSmall(output)) return null;
  if (node.values.includes(null)) return null;
  const count = Number(elementsOf(output));
  const result = VALUES[kind](node, count);
  const isLarge = ({ fixed, each }) => [fixed, each].some((part) => part > LIMIT || part < -LIMIT);
  return result?.length === count && !result.some(isLarge) ? result : null;
}

const same = ({ values: [content] }) => content;

const concat = ({ inputs: [first], values }) => (first.shape.length === 1 ? values.flat() : null);

function slice(node) {
  if (node.inputs[0].shape.length !== 1) return null;
  const [content] = node.values;
  const step = has(node, 4) ? onlyNumber(node, 4) : 1n;
  const [start, end] = [onlyNumber(node, 1), onlyNumber(node, 2)];
  const positions = slicePositions(start, end, step, BigInt(content.length));
  return numbersIn(positions).map((index) => content[index]);
}

function gather(node) {
  const [content] = node.values;
  const indices = numbers(node, 1).map(Number);
  const isInside = (index) => -content.length <= index && index < content.length;
  if (node.inputs[0].shape.length !== 1 || !indices.every(isInside)) return null;
  return indices.map((index) => content.at(index));
}

function expand({ inputs: [tensor], values: [content] }, count) {
  return elementsOf(tensor) === 1n ? range(count).map(() => content[0]) : null;
}

function rangeValues(node) {
  const [start, limit, delta] = range(3).map((index) => onlyNumber(node, index));
  return numbersIn(rangeOf(start, limit, delta)).map((number) => size(number));
}

function productValue({ values: [content] }, count) {
  let result = size(1n);
  for (const each of content) result = result && multiply(result, each);
  return result && count === 1 ? [result] : null;
}

function pairwise(operation) {
  return ({ values }, count) => {
    if (values.some(({ length }) => length !== 1 && length !== count)) return null;
    const [one, two] = values.map((each) =>
      each.length < count ? range(count).map(() => each[0]) : each,
    );
    return one.map((each, i) => operation(each, two[i])).filter((each) => each !== null);
  };
}

const add = (one, other) => size(one.fixed + other.fixed, one.each + other.each);
const subtract = (one, other) => size(one.fixed - other.fixed, one.each - other.each);

function multiply(one, other) {
  if (one.each && other.each) return null;
  const [number, factor] = one.each === 0n ? [one.fixed, other] : [other.fixed, one];
  return size(number * factor.fixed, number * factor.each);
}

function divide(one, other) {
  const isNumber = other.each === 0n && other.fixed > 0n;
  if (isNumber && one.each === 0n && one.fixed >= 0n) return size(one.fixed / other.fixed);
  if (isNumber && one.fixed % other.fixed === 0n && one.each % other.fixed === 0n) {
    return size(one.fixed / other.fixed, one.each / other.fixed);
  }
  const isRatio = other.each > 0n && other.fixed === 0n && one.fixed === 0n;
  return isRatio && one.each % other.each === 0n ? size(one.each / other.each) : null;
}

const VALUES = {
  Cast: same,
  Identity: same,
  Reshape: same,
  Squeeze: same,
  Unsqueeze: same,
  Flatten: same,
  Add: pairwise(add),
  Concat: concat,
  Div: pairwise(divide),
  Expand: expand,
  Gather: gather,
  Mul: pairwise(multiply),
  Range: rangeValues,
  ReduceProd: productValue,
  Slice: slice,
  Sub: pairwise(subtract),
};
