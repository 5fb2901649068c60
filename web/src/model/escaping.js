/** Strings with escaped control characters, as Python writes them in the messages of cgan-run. */
import { LIMITS } from "./tables.js";

const MAX_DISPLAYED = 100; // largest number of characters of a displayed class name or file name
// Line breaks, and characters that change the order of other text (bidirectional formatting).
export const CONTROLS = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const ESCAPES = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Return the first characters (code points) of a text. */
export function firstOf(text, count) {
  return Array.from(text.slice(0, 2 * count))
    .slice(0, count)
    .join("");
}

/** Escape line breaks, control characters and lone surrogates, but not joiners. */
export function printable(text) {
  return text.replace(/(?![ \u200c\u200d])[\p{C}\p{Z}]/gu, escaped);
}

/** Return a class name or file name for the page: composed, escaped, cut to MAX_DISPLAYED. */
export function displayed(name) {
  const start = firstOf(name, MAX_DISPLAYED);
  const text = start.normalize("NFC").replace(CONTROLS, escaped);
  return `${text.trim() ? text : `"${text}"`}${start.length < name.length ? "…" : ""}`;
}

/** Return Python's repr(text), cut to MAX_QUOTED characters. */
export function quoted(text) {
  const start = text.slice(0, 2 * LIMITS.MAX_QUOTED);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = start.replace(/[\p{C}\p{Z}\\'"]/gu, (character) => {
    if (character === " ") return character;
    if (character === "'" || character === '"') {
      return character === quote ? `\\${character}` : character;
    }
    return escaped(character);
  });
  return firstOf(`${quote}${inner}${text.length > start.length ? "" : quote}`, LIMITS.MAX_QUOTED);
}

/** Return the escape sequence that Python writes for a character. */
function escaped(character) {
  const code = character.codePointAt(0);
  const hex = code.toString(16);
  if (character in ESCAPES) return ESCAPES[character];
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
