/**
 * Shape rules of elementwise, reduction, normalization and matrix operators. A port of
 * cgan_runtime/model_file/validation/math_rules.py; change both.
 */
import { TYPES } from "../tables.js";
import {
  axesOf,
  axisOf,
  broadcast,
  check,
  checkIndependent,
  elementsOf,
  has,
  hasFixedShape,
  isBatched,
  isSame,
  nodeResult,
  numbers,
  product,
  range,
  tensorOf,
  tensorsOf,
  withShape,
  without,
} from "./symbolic.js";

const ELLIPSIS_LETTERS = "12345678"; // names of the axes that the ellipsis of an Einsum stands for
const isScalar = (tensor) => hasFixedShape(tensor) || hasFixedShape(tensor, 1n);

const elementwise = ({ inputs: [tensor] }) => nodeResult(tensor);

const composed = ({ inputs: [tensor] }) => nodeResult(tensor, 0n, 3n * elementsOf(tensor));

function broadcastRule(node) {
  const output = broadcast(tensorsOf(node));
  const temporary = node.inputs.length > 2 ? 2n * elementsOf(output) : 0n;
  return nodeResult(output, 0n, temporary);
}

function prelu(node) {
  check(isSame(broadcast(tensorsOf(node)), node.inputs[0]));
  return nodeResult(node.inputs[0]);
}

function cast({ inputs: [tensor], attributes: { to } }) {
  check(to in TYPES);
  return nodeResult(tensor);
}

function clip(node) {
  check(
    tensorsOf(node)
      .slice(1)
      .every((limit) => hasFixedShape(limit)),
  );
  return nodeResult(node.inputs[0]);
}

function quantize(node) {
  const [tensor, ...parameters] = tensorsOf(node);
  if (!parameters.every(isScalar)) {
    const axis = axisOf(node.attributes.axis, tensor.shape.length);
    checkIndependent(axis !== tensor.batchAxis);
    check(parameters.every((parameter) => hasFixedShape(parameter, tensor.shape[axis])));
  }
  return nodeResult(tensor);
}

function alongAxis({ inputs: [tensor], attributes }) {
  const axis = axisOf(attributes.axis, tensor.shape.length);
  checkIndependent(axis !== tensor.batchAxis);
  const isLast = axis === tensor.shape.length - 1;
  return nodeResult(tensor, 0n, isLast ? 0n : 2n * elementsOf(tensor));
}

function cumulate(node) {
  const [tensor] = node.inputs;
  check(isScalar(node.inputs[1]));
  const [axis] = axesOf(numbers(node, 1), tensor.shape.length);
  checkIndependent(axis !== tensor.batchAxis);
  return nodeResult(tensor);
}

function reduce(node) {
  const [tensor] = node.inputs;
  const rank = tensor.shape.length;
  let axes = has(node, 1) ? axesOf(numbers(node, 1), rank) : [];
  if (axes.length === 0) {
    if (node.attributes.noop_with_empty_axes) return nodeResult(tensor);
    axes = range(rank);
  }
  return nodeResult(reduced(node, tensor, axes), 0n, elementsOf(tensor));
}

function arg(node) {
  const [tensor] = node.inputs;
  const axis = axisOf(node.attributes.axis, tensor.shape.length);
  return nodeResult(reduced(node, tensor, [axis]), 0n, elementsOf(tensor));
}

function reduced({ attributes: { keepdims } }, tensor, axes) {
  const withoutAxes = without(tensor, axes);
  if (!keepdims) return withoutAxes;
  const shape = tensor.shape.map((size, axis) => (axes.includes(axis) ? 1n : size));
  return withShape(tensor, shape);
}

function layerNorm(node) {
  const [tensor, ...parameters] = tensorsOf(node);
  const axis = axisOf(node.attributes.axis, tensor.shape.length);
  checkIndependent(tensor.batchAxis === null || tensor.batchAxis < axis);
  const shape = tensor.shape.slice(axis);
  check(parameters.every((parameter) => hasFixedShape(parameter, ...shape)));
  return nodeResult(tensor);
}

function channelNorm(node) {
  const [tensor, ...parameters] = tensorsOf(node);
  check(tensor.shape.length >= 2);
  checkIndependent(tensor.batchAxis === null || tensor.batchAxis === 0);
  check(parameters.every((parameter) => hasFixedShape(parameter, tensor.shape[1])));
  return nodeResult(tensor);
}

function groupNorm(node) {
  const [tensor, ...parameters] = tensorsOf(node);
  const groups = node.attributes.num_groups;
  check(tensor.shape.length >= 3 && groups >= 1n && tensor.shape[1] % groups === 0n);
  checkIndependent(tensor.batchAxis === null || tensor.batchAxis === 0);
  const allowed = [groups, tensor.shape[1]]; // in opset 20, and in opset 21
  check(parameters.every((parameter) => allowed.some((size) => hasFixedShape(parameter, size))));
  return nodeResult(tensor, 0n, 6n * elementsOf(tensor));
}

/** Return the output of a matrix multiplication and its number of multiplications. */
function multiplyMatrices(left, right) {
  const [leftRank, rightRank] = [left.shape.length, right.shape.length];
  check(leftRank >= 1 && rightRank >= 1);
  const [rows, inner] = leftRank > 1 ? left.shape.slice(-2) : [1n, ...left.shape];
  const [rightInner, columns] = rightRank > 1 ? right.shape.slice(-2) : [...right.shape, 1n];
  checkIndependent(left.batchAxis === null || left.batchAxis !== leftRank - 1);
  checkIndependent(right.batchAxis === null || right.batchAxis !== Math.max(rightRank - 2, 0));
  check(inner === rightInner);
  const output = broadcast([
    withShape(left, [...left.shape.slice(0, -2), rows, 1n]),
    withShape(right, [...right.shape.slice(0, -2), 1n, columns]),
  ]);
  const rank = output.shape.length;
  const vectorAxes = []; // the output has no rows if left is a vector, no columns if right is one
  if (leftRank === 1) vectorAxes.push(rank - 2);
  if (rightRank === 1) vectorAxes.push(rank - 1);
  return { output: without(output, vectorAxes), multiplications: elementsOf(output) * inner };
}

function matmul(node) {
  const { output, multiplications } = multiplyMatrices(...tensorsOf(node));
  return nodeResult(output, multiplications);
}

function gemm(node) {
  const { transA, transB } = node.attributes;
  const [first, second, ...biases] = tensorsOf(node);
  const left = transA ? transposed(first) : first;
  const right = transB ? transposed(second) : second;
  check(left.shape.length === 2 && right.shape.length === 2);
  const { output, multiplications } = multiplyMatrices(left, right);
  check(biases.every((bias) => isSame(broadcast([output, bias]), output)));
  return nodeResult(output, multiplications);
}

function transposed({ shape, batchAxis, outer }) {
  check(shape.length === 2);
  return tensorOf([shape[1], shape[0]], batchAxis === null ? null : 1 - batchAxis, outer);
}

function einsum(node) {
  const tensors = tensorsOf(node);
  const equation = node.attributes.equation.replaceAll(" ", "");
  const { terms, result } = einsumTerms(equation, tensors);
  const vectors = new Map(); // by letter: the shape of a vector along its axis
  terms.forEach((term, t) => {
    const tensor = tensors[t];
    check(term.length === tensor.shape.length && new Set(term).size === term.length);
    [...term].forEach((letter, axis) => {
      const size = [tensor.shape[axis]];
      const vector = axis === tensor.batchAxis ? tensorOf(size, 0, tensor.outer) : tensorOf(size);
      if (!vectors.has(letter)) vectors.set(letter, vector);
      checkIndependent(isBatched(vectors.get(letter)) === isBatched(vector));
      check(isSame(vectors.get(letter), vector));
    });
  });
  check(new Set(result).size === result.length);
  check([...result].every((letter) => vectors.has(letter)));
  const batched = [...vectors.keys()].filter((letter) => isBatched(vectors.get(letter)));
  checkIndependent(batched.length <= 1 && batched.every((letter) => result.includes(letter)));
  const sizeAlong = (letter) => vectors.get(letter).shape[0];
  const shape = [...result].map(sizeAlong);
  const output =
    batched.length === 0
      ? tensorOf(shape)
      : tensorOf(shape, result.indexOf(batched[0]), vectors.get(batched[0]).outer);
  let letters = new Set();
  let [multiplications, moved] = [0n, elementsOf(output)];
  terms.forEach((term, t) => {
    letters = new Set([...letters, ...term]);
    multiplications += product([...letters].map(sizeAlong));
    const later = result + terms.slice(t + 1).join("");
    letters = new Set([...letters].filter((letter) => later.includes(letter)));
    moved += elementsOf(tensors[t]) + product([...letters].map(sizeAlong));
  });
  return nodeResult(output, multiplications, 2n * moved);
}

/** Return the letters of the inputs and of the output; digits name the axes of an ellipsis. */
function einsumTerms(equation, tensors) {
  const arrow = equation.indexOf("->");
  const left = arrow < 0 ? equation : equation.slice(0, arrow);
  const terms = left.split(",");
  check(terms.length === tensors.length);
  let result = equation.slice(arrow + 2);
  if (arrow < 0) {
    const letters = [...left.replaceAll("...", "").replaceAll(",", "")];
    const isOnce = (letter) => letters.indexOf(letter) === letters.lastIndexOf(letter);
    result = (left.includes("...") ? "..." : "") + letters.filter(isOnce).sort().join("");
  }
  const ellipsisLetters = (count) => ELLIPSIS_LETTERS.slice(ELLIPSIS_LETTERS.length - count);
  let longest = 0;
  terms.forEach((term, i) => {
    if (!term.includes("...")) return;
    const count = tensors[i].shape.length - [...term].length + "...".length;
    check(0 <= count && count <= ELLIPSIS_LETTERS.length);
    terms[i] = term.replace("...", ellipsisLetters(count));
    longest = Math.max(longest, count);
  });
  result = result.replace("...", ellipsisLetters(longest));
  check([...terms, result].every((term) => /^[0-9A-Za-z]*$/.test(term)));
  check(!/[0-9]/.test(equation));
  return { terms, result };
}

export const MATH_RULES = {
  along_axis: alongAxis,
  arg,
  broadcast: broadcastRule,
  cast,
  channel_norm: channelNorm,
  clip,
  composed,
  cumulate,
  einsum,
  elementwise,
  gemm,
  group_norm: groupNorm,
  layer_norm: layerNorm,
  matmul,
  prelu,
  quantize,
  reduce,
};
