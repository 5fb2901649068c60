/**
 * Type and shape inference of a graph, and the cost of its nodes, the same as cgan_runtime/
 * model_file/validation/graph_inference.py.
 */
import { IMAGE_RULES } from "./images.js";
import { LAYER_RULES } from "./layers.js";
import { LAYOUT_RULES } from "./layout.js";
import {
  UnsupportedError,
  checkShape,
  checkTypes,
  readAttributes,
  reject,
  variablesOf,
} from "./nodes.js";
import { LIMITS, OPERATORS, TYPES } from "./rules.js";
import { MisfitError, elementsOf, isBatched, isSmall, requireApart, size, tensorOf } from "./symbolic.js";
import { grouped, message, quoted } from "./texts.js";
import { valuesOf } from "./values.js";

const FLOAT = 1n;
const INT64 = 7n;
const MAX_BATCH = BigInt(LIMITS.MAX_BATCH);
const SHAPES = "SR"; // type variables of inputs that determine the output's shape
const RULES = { ...IMAGE_RULES, ...LAYER_RULES, ...LAYOUT_RULES };

/** An amount that grows with the batch. */
class Work {
  fixed = 0n;
  each = 0n;

  constructor(limit, imageLimit) {
    this.limit = BigInt(limit);
    this.imageLimit = BigInt(imageLimit);
  }

  /** The largest batch within the limits, at most MAX_BATCH. */
  get maxBatch() {
    if (this.each > this.imageLimit) return 0n;
    const free = this.limit - this.fixed;
    if (free >= this.each * MAX_BATCH) return MAX_BATCH;
    return this.each && free > 0n ? free / this.each : 0n;
  }
}

/** Infers the types and shapes of a graph's tensors and adds up the cost of its nodes. */
export class GraphInference {
  #elements = new Work(LIMITS.MAX_ELEMENTS, LIMITS.MAX_IMAGE_ELEMENTS);
  #multiplications = new Work(LIMITS.MAX_MULTIPLICATIONS, LIMITS.MAX_IMAGE_MULTIPLICATIONS);

  constructor(content) {
    this.content = content;
    this.known = new Map(); // {tensor, type, isConstant, values, start} by name
  }

  /** The number of images of one run, a power of two. */
  get maxBatch() {
    const [one, other] = [this.#elements.maxBatch, this.#multiplications.maxBatch].map(Number);
    return 2 ** Math.floor(Math.log2(Math.min(one, other)));
  }

  /** Add an input, an initializer or the output of a node. */
  add(name, tensor, type, more = {}) {
    if (!name) reject("nameless");
    if (this.known.has(name)) reject("defined twice", { name: quoted(name) });
    checkShape(name, tensor.shape);
    if (!(type in TYPES)) reject("tensor type", { name: quoted(name), type });
    this.known.set(name, { tensor, type, isConstant: false, values: null, start: -1, ...more });
    this.#count(elementsOf(tensor), 0n, isBatched(tensor));
  }

  /** Add an initializer. */
  addTensor({ 1: shape, 2: type = 0n, 8: name = "", 9: [start, end] = [0, 0] }) {
    const tensor = tensorOf(shape);
    this.add(name, tensor, type, { isConstant: true, start });
    if (BigInt(end - start) !== BigInt(TYPES[type].bytes) * elementsOf(tensor)) {
      reject("tensor size", { name: quoted(name) });
    }
  }

  /** Add a node, whose inputs must have been added before. */
  addNode({ 1: names, 2: outputs, 4: kind = "", 5: entries, 7: domain = "" }) {
    if (domain || !Object.hasOwn(OPERATORS, kind)) {
      const where = domain ? ` of domain ${quoted(domain)}` : "";
      throw new UnsupportedError(message("operator", { operator: quoted(kind), domain: where }));
    }
    const operator = OPERATORS[kind];
    const attributes = readAttributes(entries, kind, operator);
    const variables = variablesOf(operator, names.length);
    const counts = { operator: kind, inputs: names.length, outputs: outputs.length };
    if (variables === null) reject("counts", counts);
    const inputs = names.map((name, i) => this.#input(name, kind, i >= operator.required));
    const types = inputs.map((each) => each && each.type);
    const typeOf = checkTypes(kind, operator, variables, types);
    const { output = "T" } = operator;
    const given = attributes[output];
    const type = given?.type ?? given ?? typeOf[output];
    const { cost, values } = this.#run(
      { kind, inputs, variables, attributes, type },
      quoted(outputs[0] ?? ""),
    );
    if (outputs.length !== cost.outputs.length) reject("counts", counts);
    const isConstant = inputs.every((each) => each === null || each.isConstant);
    if (isConstant) {
      // onnxruntime computes the result while it opens the file, and keeps it twice. That may take
      // no longer than the work for one image.
      const elements = cost.outputs.reduce((sum, each) => sum + elementsOf(each), 0n);
      this.#count(elements, cost.multiplications * (MAX_BATCH - 1n), false);
    }
    this.#count(cost.temporary, cost.multiplications, cost.outputs.some(isBatched));
    this.#count(cost.scratch, 0n, false);
    outputs.forEach((name, i) => this.add(name, cost.outputs[i], type, { isConstant, values }));
  }

  /** Return the cost of a node, and the content of its output if that is known. */
  #run({ kind, inputs, variables, attributes, type }, name) {
    try {
      const values = inputs.map((each, i) => this.#valuesOf(each, variables[i]));
      const node = { inputs: inputs.map((each) => each && each.tensor), attributes, values };
      const cost = RULES[OPERATORS[kind].rule](node);
      const content = type === INT64 ? valuesOf(kind, node, cost.outputs[0]) : null;
      if (content === null) {
        values.forEach((each, i) => {
          if (!SHAPES.includes(variables[i])) {
            requireApart((each ?? []).every((number) => number.each === 0n));
          }
        });
      }
      return { cost, values: content };
    } catch (error) {
      if (!(error instanceof MisfitError)) throw error;
      throw new UnsupportedError(message(error.message, { operator: kind, name }));
    }
  }

  #input(name, operator, isOptional) {
    if (isOptional && !name) return null;
    if (!this.known.has(name)) reject("undefined input", { operator, name: quoted(name) });
    return this.known.get(name);
  }

  /** Return the content of a tensor, if it is small and a shape may depend on it. */
  #valuesOf(known, variable) {
    if (known === null || known.values !== null || known.start < 0) return known && known.values;
    if (!isSmall(known.tensor)) return null;
    const view = new DataView(this.content.buffer, this.content.byteOffset + known.start);
    const indices = [...Array(Number(elementsOf(known.tensor))).keys()];
    if (known.type === INT64) return indices.map((i) => size(view.getBigInt64(8 * i, true)));
    if (known.type === FLOAT && variable === "R") {
      return indices.map((i) => view.getFloat32(4 * i, true));
    }
    return null;
  }

  #count(elements, multiplications, isBatchedAmount) {
    const field = isBatchedAmount ? "each" : "fixed";
    this.#elements[field] += elements;
    this.#multiplications[field] += multiplications;
    if (this.#elements.maxBatch >= 1n && this.#multiplications.maxBatch >= 1n) return;
    const totals = [this.#elements, this.#multiplications].map(({ fixed, each }) =>
      grouped(fixed + each),
    );
    reject("too much work", { elements: totals[0], multiplications: totals[1] });
  }
}
