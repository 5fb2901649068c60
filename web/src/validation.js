/**
 * Check a model file before onnxruntime-web opens it, the same as cgan_runtime/model_file/
 * graph_validation.py and checksum.py. Tables and messages come from there (rules.js).
 */
import { ProtobufError, readMessage } from "./protobuf.js";
import { ATTRIBUTE_KINDS, CONTRACT, LIMITS, MODEL_SCHEMA, OPERATORS, TYPES } from "./rules.js";
import { sha256 } from "./sha256.js";
import { MisfitError, RULES, elementsOf, isSame } from "./shapes.js";
import { grouped, message, quoted } from "./texts.js";
import { checkVersion, modelError } from "./contract.js";

const INT64 = 7n;
const UINT8 = 2n;
const DIGITS = 64; // of a SHA-256 in hexadecimal

/** The graph is not one that cgan-export writes; the text says why. */
class InvalidGraphError extends Error {}

function reject(name, values) {
  throw new InvalidGraphError(message(name, values));
}

/**
 * Check that a file has the form that cgan-export writes.
 *
 * @param {Uint8Array} content - the whole file
 * @param {string} source - its name, for messages
 * @returns {Promise<{metadata: Map<string, string>, inputs: object[], outputs: object[]}>} its
 *     metadata, and the tensors that it declares, each as {name, type, shape}
 * @throws {ModelError} the file is not an ONNX model, lacks the contract's version, does not match
 *     its checksum, or holds a graph that the tables do not allow
 */
export async function validateModel(content, source) {
  checkSize(content.length, source);
  let entries;
  try {
    entries = readMessage(content, { 14: MODEL_SCHEMA[14] }, false)[14];
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    throw modelError("not a model", { source, reason: error.message });
  }
  const metadata = new Map(entries.map((entry) => [entry[1] ?? "", entry[2] ?? ""]));
  checkVersion(metadata, source);
  await verifyChecksum(content, source);
  try {
    const graph = validateGraph(content);
    return { metadata, inputs: graph[11].map(declaredSpec), outputs: graph[12].map(declaredSpec) };
  } catch (error) {
    if (!(error instanceof ProtobufError || error instanceof InvalidGraphError)) throw error;
    throw modelError("not written", { source, reason: error.message });
  }
}

/** Throw a ModelError if a file is empty or larger than the limit. */
export function checkSize(bytes, source) {
  if (bytes === 0) throw modelError("empty", { source });
  const limit = LIMITS.MAX_FILE_BYTES;
  if (bytes > limit) throw modelError("too large", { source, limit: grouped(limit) });
}

async function verifyChecksum(content, source) {
  const body = content.subarray(0, Math.max(0, content.length - CONTRACT.checksumBytes));
  const text = (bytes) => String.fromCharCode(...bytes);
  const checksum = text(content.subarray(body.length));
  const field = (number, value) => String.fromCharCode(8 * number + 2, value.length) + value;
  const entry = (digest) => field(14, field(1, CONTRACT.contentKey) + field(2, digest));
  const values = { source, key: CONTRACT.contentKey };
  const prefix = entry("0".repeat(DIGITS)).slice(0, -DIGITS);
  if (!checksum.startsWith(prefix)) throw modelError("no checksum", values);
  if (checksum !== entry(await sha256(body))) throw modelError("wrong checksum", values);
}

/** Return the graph of a file after checking it. */
function validateGraph(content) {
  const model = readMessage(content, MODEL_SCHEMA);
  checkHeader(model);
  const graph = model[7];
  const { 1: nodes, 5: tensors, 11: inputs, 12: outputs } = graph;
  const counts = [nodes.length, tensors.length, inputs.length + outputs.length];
  const { MAX_NODES, MAX_TENSORS, MAX_INPUTS_AND_OUTPUTS } = LIMITS;
  if ([MAX_NODES, MAX_TENSORS, MAX_INPUTS_AND_OUTPUTS].some((limit, i) => counts[i] > limit)) {
    reject("too many parts", { nodes: counts[0], tensors: counts[1], values: counts[2] });
  }
  const inference = new Inference();
  for (const value of inputs) {
    inference.add(value[1] ?? "", declaredTensor(value), declaredType(value));
  }
  for (const tensor of tensors) inference.addTensor(content, tensor);
  for (const node of nodes) inference.addNode(node);
  for (const value of outputs) {
    const known = inference.known.get(value[1] ?? "");
    if (!known || !isSame(known.tensor, declaredTensor(value))) reject("output shape");
    if (known.type !== declaredType(value)) reject("output type");
  }
  return graph;
}

function checkHeader(model) {
  const opsets = model[8].map((each) => `${each[1] ? `${each[1]} ` : ""}${each[2] ?? 0}`);
  const version = Number(opsets[0]);
  const isSupported = version >= LIMITS.MIN_OPSET && version <= LIMITS.MAX_OPSET;
  if (opsets.length !== 1 || !isSupported || opsets[0] !== String(version)) {
    reject("operator sets", { opsets: quoted(opsets.join(", ")) });
  }
  if (model[1] !== BigInt(LIMITS.IR_VERSION)) reject("IR version", { version: model[1] ?? "None" });
  const length = (text = "") => text.replace(/[\uD800-\uDBFF]/g, "").length; // in code points
  const characters = model[14].reduce((sum, entry) => sum + length(entry[1]) + length(entry[2]), 0);
  if (characters > LIMITS.MAX_METADATA) {
    reject("too much metadata", { limit: grouped(LIMITS.MAX_METADATA) });
  }
  const keys = model[14].map((entry) => entry[1] ?? "");
  if (new Set(keys).size !== keys.length) reject("duplicate key");
  if (!model[7]) reject("no graph");
}

/** Infers the types and shapes of a graph's tensors and adds up the cost of its nodes. */
class Inference {
  #constants = new Map(); // values of int64 initializers, by name
  #elements = 0n;
  #multiplications = 0n;

  constructor() {
    this.known = new Map(); // {tensor, type, isConstant} by name
  }

  add(name, tensor, type, isConstant = false) {
    if (!name) reject("nameless");
    if (this.known.has(name)) reject("defined twice", { name: quoted(name) });
    const { shape } = tensor;
    if (shape.length > LIMITS.MAX_AXES || shape.some((size) => size < 1n)) {
      const shown = `[${shape.slice(0, LIMITS.MAX_AXES + 1).join(", ")}]`;
      reject("shape", { name: quoted(name), shape: shown });
    }
    if (!(type in TYPES)) reject("tensor type", { name: quoted(name), type });
    this.known.set(name, { tensor, type, isConstant });
    this.#count(elementsOf(tensor), 0n);
  }

  addTensor(content, values) {
    const { 1: shape, 2: type = 0n, 8: name = "", 9: [start, end] = [0, 0] } = values;
    const tensor = { shape, batched: false };
    this.add(name, tensor, type, true);
    if (BigInt(end - start) !== BigInt(TYPES[type].bytes) * elementsOf(tensor)) {
      reject("tensor size", { name: quoted(name) });
    }
    if (type !== INT64) return;
    if (shape.length !== 1 || shape[0] > BigInt(LIMITS.MAX_AXES)) {
      reject("not a target shape", { name: quoted(name) });
    }
    const view = new DataView(content.buffer, content.byteOffset + start, end - start);
    const axes = Array.from({ length: Number(shape[0]) });
    this.#constants.set(
      name,
      axes.map((_, i) => view.getBigInt64(8 * i, true)),
    );
  }

  addNode({ 1: names, 2: outputs, 4: kind = "", 5: entries, 7: domain = "" }) {
    if (domain || !Object.hasOwn(OPERATORS, kind)) {
      reject("operator", { operator: quoted(kind), domain: quoted(domain) });
    }
    const operator = OPERATORS[kind];
    const attributes = readAttributes(entries, kind, operator);
    const missing = names.find((name) => !this.known.has(name));
    if (missing !== undefined) reject("undefined input", { operator: kind, name: quoted(missing) });
    const { inputs: variables, required } = operator;
    if (names.length < required || names.length > variables.length || outputs.length !== 1) {
      reject("counts", { operator: kind, inputs: names.length, outputs: outputs.length });
    }
    const inputs = names.map((name) => this.known.get(name));
    const types = readTypes(kind, operator, inputs);
    const node = { inputs: inputs.map((each) => each.tensor), attributes };
    node.constant = this.#constants.get(names[1]);
    const { output, multiplications, temporary } = costOf(kind, operator, node);
    const isConstant = inputs.every((each) => each.isConstant);
    if (isConstant) {
      // onnxruntime computes the result while it opens the file, and keeps it twice. That may take
      // no longer than the work for one image.
      this.#count(elementsOf(output), multiplications * BigInt(LIMITS.MAX_BATCH - 1));
    }
    this.#count(temporary, multiplications);
    const type = operator.output === "to" ? attributes.to : types[operator.output];
    this.add(outputs[0], output, type, isConstant);
  }

  #count(elements, multiplications) {
    this.#elements += elements;
    this.#multiplications += multiplications;
    const isMore =
      this.#elements > LIMITS.MAX_ELEMENTS || this.#multiplications > LIMITS.MAX_MULTIPLICATIONS;
    if (!isMore) return;
    const values = [this.#elements, this.#multiplications].map(grouped);
    reject("too much work", { elements: values[0], multiplications: values[1] });
  }
}

function costOf(kind, operator, node) {
  try {
    return RULES[operator.rule](node);
  } catch (error) {
    if (!(error instanceof MisfitError)) throw error;
    return reject("misfit", { operator: kind });
  }
}

const axesOf = (value) => value[2]?.[1]?.[2]?.[1] ?? [];
const declaredType = (value) => value[2]?.[1]?.[1] ?? 0n;

/** Return the declared shape of an input or output; only its first axis may be the batch. */
function declaredTensor(value) {
  const axes = axesOf(value);
  const batched = axes.length > 0 && 2 in axes[0] && !(1 in axes[0]);
  const shape = axes.map((axis) => (2 in axis ? 0n : (axis[1] ?? 0n)));
  return { shape: batched ? [1n, ...shape.slice(1)] : shape, batched };
}

function declaredSpec(value) {
  const shape = axesOf(value).map((axis) => axis[2] ?? axis[1]);
  return { name: value[1], type: `tensor(${TYPES[declaredType(value)].name})`, shape };
}

const withBigInts = (value) => {
  if (Array.isArray(value)) return value.map(BigInt);
  return Number.isInteger(value) ? BigInt(value) : value;
};

/** Return the values of an operator's attributes by name, with the defaults of absent ones. */
function readAttributes(entries, operator, { attributes }) {
  const values = new Map();
  for (const entry of entries) {
    const name = entry[1] ?? "";
    if (!Object.hasOwn(attributes, name) || values.has(name)) {
      reject("attribute", { operator, attribute: quoted(name) });
    }
    const { kind, choices } = attributes[name];
    const [field, number] = ATTRIBUTE_KINDS[kind];
    const given = [2, 3, 4, 8].filter(
      (each) => entry[each] !== undefined && !isEmptyList(entry[each]),
    );
    const isFine = given.length === 1 ? given[0] === field : given.length === 0 && kind === "ints";
    const isChoice = choices.length === 0 || choices.includes(entry[field]);
    if (!isFine || entry[20] !== BigInt(number) || !isChoice) {
      reject("attribute value", { operator, attribute: quoted(name) });
    }
    values.set(name, entry[field]);
  }
  for (const [name, attribute] of Object.entries(attributes)) {
    if (values.has(name)) continue;
    if (attribute.default === null)
      reject("missing attribute", { operator, attribute: quoted(name) });
    values.set(name, withBigInts(attribute.default));
  }
  return Object.fromEntries(values);
}

const isEmptyList = (value) => Array.isArray(value) && value.length === 0;

/** Return the value of each type variable; reject inputs of another type. */
function readTypes(operator, { inputs: variables, types }, inputs) {
  const values = {};
  inputs.forEach(({ type }, i) => {
    const variable = variables[i];
    const isAllowed = types[variable].includes(Number(type));
    if (!isAllowed || type !== (values[variable] ?? type)) {
      reject("input type", { operator, type: TYPES[type].name });
    }
    values[variable] = type;
  });
  return { Q: UINT8, ...values }; // without a zero point, QuantizeLinear returns uint8
}
