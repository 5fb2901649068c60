/** The parts of a node, the same as cgan_runtime/model_file/validation/node_reading.py. */
import { ATTRIBUTE_KINDS, LIMITS, TYPES, VARIABLES } from "./rules.js";
import { elementsOf, tensorOf } from "./symbolic.js";
import { message, quoted } from "./texts.js";

const VALUE_FIELDS = Object.values(ATTRIBUTE_KINDS).map(([field]) => field);

/** The graph is not one that cgan-export writes; the text says why. */
export class InvalidGraphError extends Error {}

/** The network cannot follow the contract; the text says why. */
export class UnsupportedError extends Error {}

export function reject(name, values) {
  throw new InvalidGraphError(message(name, values));
}

/** Reject a tensor with too many axes, or without elements. */
export function checkShape(name, shape) {
  if (shape.length > LIMITS.MAX_AXES || shape.some((size) => size < 1n)) {
    const shown = `[${shape.slice(0, LIMITS.MAX_AXES + 1).join(", ")}]`;
    reject("shape", { name: quoted(name), shape: shown });
  }
}

/** Return the tensor of an attribute, whose number of bytes must match its shape. */
function readConstant({ 1: shape, 2: type = 0n, 9: [start, end] = [0, 0] }, operator, attribute) {
  checkShape(attribute, shape);
  const tensor = tensorOf(shape);
  const bytes = BigInt(TYPES[type]?.bytes ?? 0) * elementsOf(tensor);
  if (BigInt(end - start) !== bytes || start === end) {
    reject("attribute value", { operator, attribute: quoted(attribute) });
  }
  return { tensor, type };
}

const withBigInts = (value) => {
  if (Array.isArray(value)) return value.map(BigInt);
  return Number.isInteger(value) ? BigInt(value) : value;
};

const isEmptyList = (value) => Array.isArray(value) && value.length === 0;

/** Return the values of an operator's attributes by name, with the defaults of absent ones. */
export function readAttributes(entries, operator, { attributes = {} }) {
  const values = new Map();
  for (const entry of entries) {
    const name = entry[1] ?? "";
    if (!Object.hasOwn(attributes, name) || values.has(name)) {
      reject("attribute", { operator, attribute: quoted(name) });
    }
    const [kind, , choices = []] = attributes[name];
    const [field, number] = ATTRIBUTE_KINDS[kind];
    const given = VALUE_FIELDS.filter(
      (each) => entry[each] !== undefined && !isEmptyList(entry[each]),
    );
    const isFine = given.length === 1 ? given[0] === field : given.length === 0 && kind === "ints";
    const isChoice = choices.length === 0 || choices.map(withBigInts).includes(entry[field]);
    if (!isFine || entry[20] !== BigInt(number) || !isChoice) {
      reject("attribute value", { operator, attribute: quoted(name) });
    }
    const value = entry[field];
    values.set(name, kind === "tensor" ? readConstant(value, operator, name) : value);
  }
  for (const [name, [, byDefault]] of Object.entries(attributes)) {
    if (values.has(name)) continue;
    if (byDefault === null) reject("missing attribute", { operator, attribute: quoted(name) });
    values.set(name, withBigInts(byDefault));
  }
  return Object.fromEntries(values);
}

/** Return the type variable of each input, or null if there are too few or too many. */
export function variablesOf({ inputs, required, variadic }, count) {
  const all = variadic ? inputs.padEnd(count, inputs.at(-1)) : inputs;
  return required <= count && count <= all.length ? all.slice(0, count) : null;
}

/** Return the value of each type variable; reject inputs of another type. */
export function checkTypes(operator, { types }, variables, inputs) {
  const variableTypes = { ...VARIABLES, T: types };
  const found = {};
  inputs.forEach((type, i) => {
    if (type === null) return;
    const variable = variables[i];
    found[variable] ??= type;
    if (!variableTypes[variable].includes(Number(type)) || found[variable] !== type) {
      reject("input type", { operator, type: TYPES[type].name });
    }
  });
  const byDefault = Object.entries(variableTypes).map(([name, [type]]) => [name, BigInt(type)]);
  return { ...Object.fromEntries(byDefault), ...found };
}
