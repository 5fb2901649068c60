/**
 * Type and shape inference of a graph, and the cost of its nodes. A port of
 * cgan_runtime/model_file/validation/graph_inference.py; change both.
 */
import { quoted } from "../escaping.js";
import { errorMessage, grouped } from "../messages.js";
import { LIMITS, OPERATORS, TYPES } from "../tables.js";
import { MATH_RULES } from "./math_rules.js";
import {
  UnsupportedError,
  checkShape,
  inferTypes,
  readAttributes,
  reject,
  variablesOf,
} from "./node_reading.js";
import { valuesOf } from "./shape_values.js";
import { SPATIAL_RULES } from "./spatial_rules.js";
import {
  ShapeError,
  checkIndependent,
  elementsOf,
  isBatched,
  isSmall,
  sizeOf,
  tensorOf,
} from "./symbolic.js";
import { TENSOR_RULES } from "./tensor_rules.js";

const FLOAT = 1n;
const INT64 = 7n;
const MAX_BATCH = BigInt(LIMITS.MAX_BATCH);
const SHAPE_VARIABLES = ["R", "S"];
const SHAPE_RULES = { ...MATH_RULES, ...SPATIAL_RULES, ...TENSOR_RULES };

/**
 * Elements or multiplications of a graph: fixed + perImage * batch size, with a limit for one run
 * and one for one image.
 */
class Budget {
  fixed = 0n;
  perImage = 0n;

  constructor(limit, imageLimit) {
    this.limit = BigInt(limit);
    this.imageLimit = BigInt(imageLimit);
  }

  /** The largest batch size within the limits, at most MAX_BATCH. */
  get maxBatch() {
    if (this.perImage > this.imageLimit) return 0n;
    const free = this.limit - this.fixed;
    if (free >= this.perImage * MAX_BATCH) return MAX_BATCH;
    return this.perImage && free > 0n ? free / this.perImage : 0n;
  }
}

/** Infers the types and shapes of a graph's tensors and adds up the cost of its nodes. */
export class GraphInference {
  #elements = new Budget(LIMITS.MAX_ELEMENTS, LIMITS.MAX_IMAGE_ELEMENTS);
  #multiplications = new Budget(LIMITS.MAX_MULTIPLICATIONS, LIMITS.MAX_IMAGE_MULTIPLICATIONS);

  constructor(content) {
    this.content = content;
    this.tensors = new Map(); // {tensor, type, isConstant, values, start} by name
  }

  /** The largest number of images of one run, a power of two. */
  get maxBatch() {
    const images = [this.#elements.maxBatch, this.#multiplications.maxBatch].map(Number);
    return 2 ** Math.floor(Math.log2(Math.min(...images)));
  }

  /** Add an input, an initializer or the output of a node. */
  add(name, tensor, type, more = {}) {
    if (!name) reject("nameless");
    if (this.tensors.has(name)) reject("defined twice", { name: quoted(name) });
    checkShape(name, tensor.shape);
    if (!(type in TYPES)) reject("tensor type", { name: quoted(name), type });
    this.tensors.set(name, { tensor, type, isConstant: false, values: null, start: -1, ...more });
    this.#charge(elementsOf(tensor), 0n, isBatched(tensor));
  }

  /** Add an initializer; reject it if its number of bytes does not match its shape. */
  addInitializer({ name = "", dims, data_type: type = 0n, raw_data: [start, end] = [0, 0] }) {
    const tensor = tensorOf(dims);
    this.add(name, tensor, type, { isConstant: true, start });
    if (BigInt(end - start) !== BigInt(TYPES[type].bytes) * elementsOf(tensor)) {
      reject("tensor size", { name: quoted(name) });
    }
  }

  /** Add a node, whose inputs must have been added before. */
  addNode({ input: inputNames, output: outputs, op_type: name = "", domain = "", attribute }) {
    if (domain || !Object.hasOwn(OPERATORS, name)) {
      const where = domain ? ` of domain ${quoted(domain)}` : "";
      const values = { operator: quoted(name), domain: where };
      throw new UnsupportedError(errorMessage("operator", values));
    }
    const operator = OPERATORS[name];
    const attributes = readAttributes(attribute, name, operator);
    const variables = variablesOf(operator, inputNames.length);
    const counts = { operator: name, inputs: inputNames.length, outputs: outputs.length };
    if (variables === null) reject("counts", counts);
    const inputs = inputNames.map((input, i) => this.#input(input, name, i >= operator.required));
    const types = inputs.map((info) => info && info.type);
    const typeOf = inferTypes(name, operator, variables, types);
    const value = attributes[operator.type_attribute]; // a type, or a tensor
    const type = value?.type ?? value ?? typeOf[operator.output ?? "T"];
    const output = quoted(outputs[0] ?? "");
    const { result, values } = this.#infer({ name, inputs, variables, attributes, type }, output);
    if (outputs.length !== result.outputs.length) reject("counts", counts);
    const isConstant = inputs.every((info) => info === null || info.isConstant);
    this.#chargeNode(result, isConstant);
    outputs.forEach((id, i) => this.add(id, result.outputs[i], type, { isConstant, values }));
  }

  /** Return the result of a node, and the values of its output if they are known. */
  #infer({ name, inputs, variables, attributes, type }, output) {
    try {
      const values = inputs.map((info, i) => this.#valuesOf(info, variables[i]));
      const node = { inputs: inputs.map((info) => info && info.tensor), attributes, values };
      const result = SHAPE_RULES[OPERATORS[name].rule](node);
      const outputValues = type === INT64 ? valuesOf(name, node, result.outputs[0]) : null;
      if (outputValues === null) {
        // Only shapes may depend on the batch size. Reject nodes that compute values from it.
        values.forEach((sizes, i) => {
          if (!SHAPE_VARIABLES.includes(variables[i])) {
            checkIndependent((sizes ?? []).every((size) => size.perImage === 0n));
          }
        });
      }
      return { result, values: outputValues };
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      throw new UnsupportedError(errorMessage(error.message, { operator: name, name: output }));
    }
  }

  #input(name, operator, isOptional) {
    if (isOptional && !name) return null;
    if (!this.tensors.has(name)) reject("undefined input", { operator, name: quoted(name) });
    return this.tensors.get(name);
  }

  /** Return the values of a tensor if it is small and a shape may depend on them. */
  #valuesOf(info, variable) {
    if (info === null) return null;
    if (info.values !== null || info.start < 0) return info.values;
    if (!isSmall(info.tensor)) return null;
    const view = new DataView(this.content.buffer, this.content.byteOffset + info.start);
    const indices = [...Array(Number(elementsOf(info.tensor))).keys()];
    if (info.type === INT64) return indices.map((i) => sizeOf(view.getBigInt64(8 * i, true)));
    if (info.type === FLOAT && variable === "R") {
      return indices.map((i) => view.getFloat32(4 * i, true)); // the scales of Resize
    }
    return null;
  }

  /** Add the cost of a node, without its outputs. */
  #chargeNode(result, isConstant) {
    if (isConstant) {
      // graph_inference.py says why constant folding costs more.
      const elements = result.outputs.reduce((sum, tensor) => sum + elementsOf(tensor), 0n);
      this.#charge(elements, result.multiplications * (MAX_BATCH - 1n), false);
    }
    const isAnyBatched = result.outputs.some(isBatched);
    this.#charge(result.temporaryPerImage, result.multiplications, isAnyBatched);
    this.#charge(result.temporaryFixed, 0n, false);
  }

  /** Add a cost, per image if `perImage`; reject the graph if its cost exceeds a limit. */
  #charge(elements, multiplications, perImage) {
    const field = perImage ? "perImage" : "fixed";
    this.#elements[field] += elements;
    this.#multiplications[field] += multiplications;
    if (this.#elements.maxBatch >= 1n && this.#multiplications.maxBatch >= 1n) return;
    const total = ({ fixed, perImage }) => grouped(fixed + perImage);
    reject("too much work", {
      elements: total(this.#elements),
      multiplications: total(this.#multiplications),
    });
  }
}
