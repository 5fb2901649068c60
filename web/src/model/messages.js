/** Errors about a model file. A port of cgan_runtime/model_file/messages.py; change both. */
import { ModelError } from "../errors.js";
import { printable } from "./escaping.js";
import { MESSAGES, PAGE_ADVICE } from "./tables.js";

/** Return a message of MESSAGES with its values filled in. */
export function errorMessage(name, values = {}) {
  return MESSAGES[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** Return an error with a shared message, whose advice suits a visitor of the page. */
export function modelError(name, { source, ...values }) {
  const text = errorMessage(name, { source: printable(source), ...values });
  const advice = text.slice(text.lastIndexOf("; ") + 2);
  return new ModelError(text.slice(0, -advice.length) + (PAGE_ADVICE[advice] ?? advice));
}

/** Return a whole number with commas. */
export function grouped(number) {
  return number.toLocaleString("en-US");
}
