/** Shape rules of operators that compute, the same as cgan_runtime/model_file/validation/layer_rules.py. */
import { TYPES } from "./rules.js";
import {
  axesOf,
  axisOf,
  broadcast,
  cost,
  elementsOf,
  has,
  isBatched,
  isFixed,
  isSame,
  isSameShape,
  numbers,
  product,
  range,
  require,
  requireApart,
  tensorOf,
  tensorsOf,
  withShape,
  without,
} from "./symbolic.js";

const DIGITS = "12345678";
const isScalar = (tensor) => isFixed(tensor) || isFixed(tensor, 1n);

const elementwise = ({ inputs: [tensor] }) => cost(tensor);

const composed = ({ inputs: [tensor] }) => cost(tensor, 0n, 3n * elementsOf(tensor));

function broadcastRule(node) {
  const output = broadcast(tensorsOf(node));
  return cost(output, 0n, node.inputs.length > 2 ? 2n * elementsOf(output) : 0n);
}

function prelu(node) {
  require(isSame(broadcast(tensorsOf(node)), node.inputs[0]));
  return cost(node.inputs[0]);
}

function cast({ inputs: [tensor], attributes: { to } }) {
  require(to in TYPES);
  return cost(tensor);
}

function clip(node) {
  require(
    tensorsOf(node)
      .slice(1)
      .every((limit) => isFixed(limit)),
  );
  return cost(node.inputs[0]);
}

function quantize(node) {
  const [tensor, ...parameters] = tensorsOf(node);
  if (!parameters.every(isScalar)) {
    const axis = axisOf(node.attributes.axis, tensor.shape.length);
    requireApart(axis !== tensor.axis);
    require(parameters.every((each) => isFixed(each, tensor.shape[axis])));
  }
  return cost(tensor);
}

function alongAxis({ inputs: [tensor], attributes }) {
  const axis = axisOf(attributes.axis, tensor.shape.length);
  requireApart(axis !== tensor.axis);
  return cost(tensor, 0n, axis === tensor.shape.length - 1 ? 0n : 2n * elementsOf(tensor));
}

function cumulate(node) {
  const [tensor] = node.inputs;
  require(isScalar(node.inputs[1]));
  const [axis] = axesOf(numbers(node, 1), tensor.shape.length);
  requireApart(axis !== tensor.axis);
  return cost(tensor);
}

function reduce(node) {
  const [tensor] = node.inputs;
  const rank = tensor.shape.length;
  let axes = has(node, 1) ? axesOf(numbers(node, 1), rank) : [];
  if (axes.length === 0) {
    if (node.attributes.noop_with_empty_axes) return cost(tensor);
    axes = range(rank);
  }
  return cost(reduced(node, tensor, axes), 0n, elementsOf(tensor));
}

function arg(node) {
  const [tensor] = node.inputs;
  const axis = axisOf(node.attributes.axis, tensor.shape.length);
  return cost(reduced(node, tensor, [axis]), 0n, elementsOf(tensor));
}

function reduced({ attributes: { keepdims } }, tensor, axes) {
  const result = without(tensor, axes);
  if (!keepdims) return result;
  return withShape(
    tensor,
    tensor.shape.map((each, axis) => (axes.includes(axis) ? 1n : each)),
  );
}

function layerNorm(node) {
  const [tensor, ...parameters] = tensorsOf(node);
  const axis = axisOf(node.attributes.axis, tensor.shape.length);
  requireApart(tensor.axis === null || tensor.axis < axis);
  require(parameters.every((each) => isFixed(each, ...tensor.shape.slice(axis))));
  return cost(tensor);
}

function channelNorm(node) {
  const [tensor, ...parameters] = tensorsOf(node);
  require(tensor.shape.length >= 2);
  requireApart(tensor.axis === null || tensor.axis === 0);
  require(parameters.every((each) => isFixed(each, tensor.shape[1])));
  return cost(tensor);
}

function groupNorm(node) {
  const [tensor, ...parameters] = tensorsOf(node);
  const groups = node.attributes.num_groups;
  require(tensor.shape.length >= 3 && groups >= 1n && tensor.shape[1] % groups === 0n);
  requireApart(tensor.axis === null || tensor.axis === 0);
  const isAllowed = (each) => isFixed(each, groups) || isFixed(each, tensor.shape[1]);
  require(parameters.every(isAllowed));
  return cost(tensor, 0n, 6n * elementsOf(tensor));
}

/** Return a matrix product and its number of multiplications. */
function productOf(left, right) {
  const [leftRank, rightRank] = [left.shape.length, right.shape.length];
  require(leftRank >= 1 && rightRank >= 1);
  const [rows, inner] = leftRank > 1 ? left.shape.slice(-2) : [1n, ...left.shape];
  const [other, columns] = rightRank > 1 ? right.shape.slice(-2) : [...right.shape, 1n];
  requireApart(left.axis === null || left.axis !== leftRank - 1);
  requireApart(right.axis === null || right.axis !== Math.max(rightRank - 2, 0));
  require(inner === other);
  const output = broadcast([
    withShape(left, [...left.shape.slice(0, -2), rows, 1n]),
    withShape(right, [...right.shape.slice(0, -2), 1n, columns]),
  ]);
  const rank = output.shape.length;
  const vectors = [];
  if (leftRank === 1) vectors.push(rank - 2);
  if (rightRank === 1) vectors.push(rank - 1);
  return { output: without(output, vectors), multiplications: elementsOf(output) * inner };
}

function matmul(node) {
  const { output, multiplications } = productOf(...tensorsOf(node));
  return cost(output, multiplications);
}

function gemm(node) {
  const { transA, transB } = node.attributes;
  const [first, second, ...biases] = tensorsOf(node);
  const left = transA ? swapped(first) : first;
  const right = transB ? swapped(second) : second;
  require(left.shape.length === 2 && right.shape.length === 2);
  const { output, multiplications } = productOf(left, right);
  require(biases.every((bias) => isSame(broadcast([output, bias]), output)));
  return cost(output, multiplications);
}

function swapped({ shape, axis, before }) {
  require(shape.length === 2);
  return tensorOf([shape[1], shape[0]], axis === null ? null : 1 - axis, before);
}

function einsum(node) {
  const tensors = tensorsOf(node);
  const { terms, result } = lettersOf(node.attributes.equation.replaceAll(" ", ""), tensors);
  const vectors = new Map(); // of a vector along each letter
  terms.forEach((term, t) => {
    const tensor = tensors[t];
    require(term.length === tensor.shape.length && new Set(term).size === term.length);
    [...term].forEach((name, index) => {
      const own = index === tensor.axis;
      const length = [tensor.shape[index]];
      const vector = own ? tensorOf(length, 0, tensor.before) : tensorOf(length);
      if (!vectors.has(name)) vectors.set(name, vector);
      requireApart(vectors.get(name).axis === vector.axis);
      require(isSame(vectors.get(name), vector));
    });
  });
  require(new Set(result).size === result.length);
  require([...result].every((name) => vectors.has(name)));
  const batched = [...vectors.keys()].filter((name) => isBatched(vectors.get(name)));
  requireApart(batched.length <= 1 && batched.every((name) => result.includes(name)));
  const lengthOf = (name) => vectors.get(name).shape[0];
  const shape = [...result].map(lengthOf);
  const output =
    batched.length === 0
      ? tensorOf(shape)
      : tensorOf(shape, result.indexOf(batched[0]), vectors.get(batched[0]).before);
  let letters = new Set();
  let [multiplications, moved] = [0n, elementsOf(output)];
  terms.forEach((term, t) => {
    letters = new Set([...letters, ...term]);
    multiplications += product([...letters].map(lengthOf));
    const later = result + terms.slice(t + 1).join("");
    letters = new Set([...letters].filter((name) => later.includes(name)));
    moved += elementsOf(tensors[t]) + product([...letters].map(lengthOf));
  });
  return cost(output, multiplications, 2n * moved);
}

/** Return the names of the axes of the inputs and of the output; an ellipsis becomes digits. */
function lettersOf(equation, tensors) {
  const arrow = equation.indexOf("->");
  const left = arrow < 0 ? equation : equation.slice(0, arrow);
  let terms = left.split(",");
  require(terms.length === tensors.length);
  let result = equation.slice(arrow + 2);
  if (arrow < 0) {
    const names = [...left.replaceAll("...", "").replaceAll(",", "")];
    const once = names.filter((name) => names.indexOf(name) === names.lastIndexOf(name));
    result = (left.includes("...") ? "..." : "") + once.sort().join("");
  }
  const hidden = terms.map((term, i) => tensors[i].shape.length - [...term].length + 3);
  const counts = hidden.filter((_, i) => terms[i].includes("..."));
  require(counts.every((count) => 0 <= count && count <= DIGITS.length));
  const last = (count) => DIGITS.slice(DIGITS.length - count);
  terms = terms.map((term, i) => (term.includes("...") ? term.replace("...", last(hidden[i])) : term));
  result = result.replace("...", last(Math.max(0, ...counts)));
  require([...terms, result].every((term) => /^[0-9A-Za-z]*$/.test(term)));
  require(!/[0-9]/.test(equation));
  return { terms, result };
}

export const LAYER_RULES = {
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
