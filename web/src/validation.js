/**
 * Check a model file before onnxruntime-web opens it, the same as cgan_runtime/model_file/
 * validation/graph_validation.py and checksum.py. Tables and messages come from there (rules.js).
 */
import { ProtobufError, readMessage } from "./protobuf.js";
import { CONTRACT, LIMITS, MODEL_SCHEMA, TYPES } from "./rules.js";
import { sha256 } from "./sha256.js";
import { isSame, tensorOf } from "./symbolic.js";
import { grouped, quoted } from "./texts.js";
import { checkVersion, modelError } from "./contract.js";
import { GraphInference } from "./inference.js";
import { InvalidGraphError, UnsupportedError, reject } from "./nodes.js";

const DIGITS = 64; // of a SHA-256 in hexadecimal

/**
 * Check that a file has the form that cgan-export writes.
 *
 * @param {Uint8Array} content - the whole file
 * @param {string} source - its name, for messages
 * @returns {Promise<{metadata: Map<string, string>, inputs: object[], outputs: object[],
 *     maxBatch: number}>} its metadata, the tensors that it declares, each as {name, type, shape},
 *     and the number of images of one run
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
    const { graph, maxBatch } = validateGraph(content);
    const [inputs, outputs] = [graph[11], graph[12]].map((values) => values.map(declaredSpec));
    return { metadata, inputs, outputs, maxBatch };
  } catch (error) {
    if (error instanceof UnsupportedError) {
      throw modelError("not supported", { source, reason: error.message });
    }
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

/** Return the graph of a file after checking it, and the number of images of one run. */
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
  const inference = new GraphInference(content);
  for (const value of inputs) {
    inference.add(value[1] ?? "", declaredTensor(value), declaredType(value));
  }
  for (const tensor of tensors) inference.addTensor(tensor);
  for (const node of nodes) inference.addNode(node);
  for (const value of outputs) {
    const known = inference.known.get(value[1] ?? "");
    if (!known || !isSame(known.tensor, declaredTensor(value))) reject("output shape");
    if (known.type !== declaredType(value)) reject("output type");
  }
  return { graph, maxBatch: inference.maxBatch };
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

const axesOf = (value) => value[2]?.[1]?.[2]?.[1] ?? [];
const declaredType = (value) => value[2]?.[1]?.[1] ?? 0n;

/** Return the declared shape of an input or output; only its first axis may be the batch. */
function declaredTensor(value) {
  const axes = axesOf(value);
  const batched = axes.length > 0 && 2 in axes[0] && !(1 in axes[0]);
  const shape = axes.map((axis) => (2 in axis ? 0n : (axis[1] ?? 0n)));
  return batched ? tensorOf([1n, ...shape.slice(1)], 0) : tensorOf(shape);
}

function declaredSpec(value) {
  const shape = axesOf(value).map((axis) => axis[2] ?? axis[1]);
  return { name: value[1], type: `tensor(${TYPES[declaredType(value)].name})`, shape };
}
