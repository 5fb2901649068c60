/**
 * Graph validation: check a model file before onnxruntime-web opens it. A port of
 * cgan_runtime/model_file/validation/graph_validation.py; change both.
 */
import { verifyChecksum } from "../checksum.js";
import { checkVersion } from "../contract.js";
import { quoted } from "../escaping.js";
import { grouped, modelError } from "../messages.js";
import { ProtobufError, readMessage } from "../protobuf.js";
import { LIMITS, MODEL_SCHEMA, TYPES } from "../tables.js";
import { GraphInference } from "./graph_inference.js";
import { InvalidGraphError, UnsupportedError, reject } from "./node_reading.js";
import { isSame, tensorOf } from "./symbolic.js";

const METADATA_SCHEMA = { 14: MODEL_SCHEMA[14] };

/**
 * Check that a file has the form that cgan-export writes.
 *
 * @param {Uint8Array} content - the whole file
 * @param {string} source - its name, for messages
 * @returns {Promise<{metadata: Map<string, string>, inputs: object[], outputs: object[],
 *     maxBatch: number}>} its metadata, its inputs and outputs, each as {name, type, shape}, and
 *     the largest number of images of one run
 * @throws {ModelError} the file is not an ONNX model, has a different contract version, does not
 *     match its checksum, or contains a graph that the tables do not allow
 */
export async function validateModel(content, source) {
  checkSize(content.length, source);
  let entries;
  try {
    entries = readMessage(content, METADATA_SCHEMA, false).metadata_props;
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    throw modelError("not a model", { source, reason: error.message });
  }
  const metadata = new Map(entries.map(({ key = "", value = "" }) => [key, value]));
  checkVersion(metadata, source);
  await verifyChecksum(content, source);
  try {
    const { graph, maxBatch } = validateGraph(content);
    const [inputs, outputs] = [graph.input, graph.output].map((values) => values.map(declaredSpec));
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

/** Return the graph of a file after checking it, and the largest number of images of one run. */
function validateGraph(content) {
  const model = readMessage(content, MODEL_SCHEMA);
  checkHeader(model);
  const { graph } = model;
  const { node: nodes, initializer: initializers, input: inputs, output: outputs } = graph;
  const counts = [nodes.length, initializers.length, inputs.length + outputs.length];
  const { MAX_NODES, MAX_TENSORS, MAX_INPUTS_AND_OUTPUTS } = LIMITS;
  if ([MAX_NODES, MAX_TENSORS, MAX_INPUTS_AND_OUTPUTS].some((limit, i) => counts[i] > limit)) {
    reject("too many parts", { nodes: counts[0], tensors: counts[1], values: counts[2] });
  }
  const inference = new GraphInference(content);
  for (const value of inputs) {
    inference.add(value.name ?? "", declaredTensor(value), declaredType(value));
  }
  for (const tensor of initializers) inference.addInitializer(tensor);
  for (const node of nodes) inference.addNode(node);
  for (const value of outputs) {
    const info = inference.tensors.get(value.name ?? "");
    if (!info || !isSame(info.tensor, declaredTensor(value))) reject("output shape");
    if (info.type !== declaredType(value)) reject("output type");
  }
  return { graph, maxBatch: inference.maxBatch };
}

function checkHeader(model) {
  const opsets = model.opset_import.map(
    ({ domain, version = 0 }) => `${domain ? `${domain} ` : ""}${version}`,
  );
  const version = Number(opsets[0]);
  const isSupported = version >= LIMITS.MIN_OPSET && version <= LIMITS.MAX_OPSET;
  if (opsets.length !== 1 || !isSupported || opsets[0] !== String(version)) {
    reject("operator sets", { opsets: quoted(opsets.join(", ")) });
  }
  if (model.ir_version !== BigInt(LIMITS.IR_VERSION)) {
    reject("IR version", { version: model.ir_version ?? "None" });
  }
  const entries = model.metadata_props.map(({ key = "", value = "" }) => [key, value]);
  const length = (text) => text.replace(/[\uD800-\uDBFF]/g, "").length; // in code points
  const characters = entries.flat().reduce((sum, text) => sum + length(text), 0);
  if (characters > LIMITS.MAX_METADATA) {
    reject("too much metadata", { limit: grouped(LIMITS.MAX_METADATA) });
  }
  if (new Map(entries).size !== entries.length) reject("duplicate key");
  if (!model.graph) reject("no graph");
}

const dimensionsOf = (value) => value.type?.tensor_type?.shape?.dim ?? [];
const declaredType = (value) => value.type?.tensor_type?.elem_type ?? 0n;

/** Return the declared shape of an input or output; only its first axis may be the batch. */
function declaredTensor(value) {
  const axes = dimensionsOf(value);
  const batched = axes.length > 0 && "dim_param" in axes[0] && !("dim_value" in axes[0]);
  const shape = axes.map((axis) => ("dim_param" in axis ? 0n : (axis.dim_value ?? 0n)));
  return batched ? tensorOf([1n, ...shape.slice(1)], 0) : tensorOf(shape);
}

function declaredSpec(value) {
  const shape = dimensionsOf(value).map((axis) => axis.dim_param ?? axis.dim_value);
  return { name: value.name, type: `tensor(${TYPES[declaredType(value)].name})`, shape };
}
