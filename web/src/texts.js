/** Texts as Python writes them, so that the page and cgan-run use the same words. */
import { MESSAGES } from "./rules.js";

const MAX_SHOWN = 40; // characters of a name in a message
const MAX_DISPLAYED = 100; // characters of a class name or file name
// Line breaks, and characters that change the order of other text (bidirectional formatting).
export const CONTROLS = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const ESCAPES = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Return a message with its values filled in. */
export function message(name, values = {}) {
  return MESSAGES[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** Return the first characters (code points) of a text. */
export function firstOf(text, count) {
  return Array.from(text.slice(0, 2 * count))
    .slice(0, count)
    .join("");
}

/** Return a text on one line, with control characters and lone surrogates, but not joiners, escaped. */
export function printable(text) {
  return text.replace(/(?![ \u200c\u200d])[\p{C}\p{Z}]/gu, escaped);
}

/** Return a class name or file name as it is shown: composed, without control characters. */
export function displayed(name) {
  const start = firstOf(name, MAX_DISPLAYED);
  const text = start.normalize("NFC").replace(CONTROLS, escaped);
  return `${text.trim() ? text : `"${text}"`}${start.length < name.length ? "…" : ""}`;
}

/** Return repr(text) of Python, cut off. */
export function quoted(text) {
  const start = text.slice(0, 2 * MAX_SHOWN);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = start.replace(/[\p{C}\p{Z}\\'"]/gu, (each) => {
    if (each === " ") return each;
    if (each === "'" || each === '"') return each === quote ? `\\${each}` : each;
    return escaped(each);
  });
  return firstOf(`${quote}${inner}${text.length > start.length ? "" : quote}`, MAX_SHOWN);
}

/** Return a whole number with commas. */
export function grouped(number) {
  return number.toLocaleString("en-US");
}

function escaped(character) {
  const code = character.codePointAt(0);
  const hex = code.toString(16);
  if (character in ESCAPES) return ESCAPES[character];
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
