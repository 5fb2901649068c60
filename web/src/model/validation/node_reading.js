/**
 * Read a node: its attributes, and the types of its inputs. A port of
 * cgan_runtime/model_file/validation/node_reading.py; change both.
 */
import { quoted } from "../escaping.js";
import { errorMessage } from "../messages.js";
import { ATTRIBUTE_KINDS, LIMITS, TYPES, VARIABLES } from "../tables.js";
import { elementsOf, tensorOf } from "./symbolic.js";

const VALUE_FIELDS = Object.values(ATTRIBUTE_KINDS).map(([field]) => field);

/** The graph is not one that cgan-export writes; error.message says why. */
export class InvalidGraphError extends Error {}

/** The network cannot follow the contract; error.message says why. */
export class UnsupportedError extends Error {}

/** Throw an InvalidGraphError with a message of MESSAGES. */
export function reject(name, values) {
  throw new InvalidGraphError(errorMessage(name, values));
}

/** Reject a tensor with too many axes, or without elements. */
export function checkShape(name, shape) {
  if (shape.length > LIMITS.MAX_AXES || shape.some((size) => size < 1n)) {
    const shown = `[${shape.slice(0, LIMITS.MAX_AXES + 1).join(", ")}]`;
    reject("shape", { name: quoted(name), shape: shown });
  }
}

/** Return a tensor attribute; reject it if its number of bytes does not match its shape. */
function readConstant(tensor, operator, attribute) {
  const { dims: shape, data_type: type = 0n, raw_data: [start, end] = [0, 0] } = tensor;
  checkShape(attribute, shape);
  const expectedBytes = BigInt(TYPES[type]?.bytes ?? 0) * elementsOf({ shape });
  if (BigInt(end - start) !== expectedBytes || start === end) {
    reject("attribute value", { operator, attribute: quoted(attribute) });
  }
  return { tensor: tensorOf(shape), type };
}

/** Return a value of the tables with the types of the protobuf reader. */
const withBigInts = (value) => {
  if (Array.isArray(value)) return value.map(BigInt);
  return Number.isInteger(value) ? BigInt(value) : value;
};

const isEmptyList = (value) => Array.isArray(value) && value.length === 0;

/** Return a node's attributes with the defaults of absent ones; `operator` is its name. */
export function readAttributes(entries, operator, { attributes = {} }) {
  const values = new Map();
  for (const entry of entries) {
    const { name = "" } = entry;
    if (!Object.hasOwn(attributes, name) || values.has(name)) {
      reject("attribute", { operator, attribute: quoted(name) });
    }
    const [kind, , choices = []] = attributes[name];
    const [field, type] = ATTRIBUTE_KINDS[kind];
    const present = VALUE_FIELDS.filter(
      (other) => entry[other] !== undefined && !isEmptyList(entry[other]),
    );
    // Protobuf does not distinguish an empty list from an absent one.
    const isValuePresent =
      present.length === 0 ? kind === "ints" : present.length === 1 && present[0] === field;
    const value = entry[field];
    const isChoice = choices.length === 0 || choices.map(withBigInts).includes(value);
    if (!isValuePresent || entry.type !== BigInt(type) || !isChoice) {
      reject("attribute value", { operator, attribute: quoted(name) });
    }
    values.set(name, kind === "tensor" ? readConstant(value, operator, name) : value);
  }
  for (const [name, [, byDefault]] of Object.entries(attributes)) {
    if (values.has(name)) continue;
    if (byDefault === null) reject("missing attribute", { operator, attribute: quoted(name) });
    values.set(name, withBigInts(byDefault));
  }
  return Object.fromEntries(values);
}

/** Return the type variables of `count` inputs, or null if the operator does not allow them. */
export function variablesOf({ inputs, required, variadic }, count) {
  const all = variadic ? inputs.padEnd(count, inputs.at(-1)) : inputs;
  return required <= count && count <= all.length ? all.slice(0, count) : null;
}

/** Return the type of each type variable; reject inputs whose types are not allowed. */
export function inferTypes(operator, { types }, variables, inputs) {
  const allowedTypes = { ...VARIABLES, T: types };
  const found = {};
  inputs.forEach((type, i) => {
    if (type === null) return; // an optional input
    const variable = variables[i];
    found[variable] ??= type;
    if (!allowedTypes[variable].includes(Number(type)) || found[variable] !== type) {
      reject("input type", { operator, type: TYPES[type].name });
    }
  });
  const byDefault = Object.entries(allowedTypes).map(([name, [type]]) => [name, BigInt(type)]);
  return { ...Object.fromEntries(byDefault), ...found };
}
