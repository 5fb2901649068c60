/**
 * A JSON parser (RFC 8259) that accepts what cgan-run accepts and rejects lone surrogates and deep
 * nesting. It returns integers as bigints, other numbers as doubles, and objects as Maps.
 */
import { LIMITS } from "./tables.js";

const MAX_DIGITS = 4300; // largest number of digits of an integer, as in Python
const SPACE = /[ \t\n\r]*/y;
const NUMBER = /(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const WORDS = new Map([
  ["true", true],
  ["false", false],
  ["null", null],
]);

/**
 * Return the value of a JSON text.
 *
 * @throws {SyntaxError} the text is not valid
 */
export function parseJson(text) {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.match(SPACE);
  if (reader.at !== text.length) throw new SyntaxError("more text follows");
  return value;
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return found;
  }

  take(character) {
    this.match(SPACE);
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  require(character) {
    if (!this.take(character)) throw new SyntaxError(`${character} is missing`);
  }

  value(level) {
    if (level >= LIMITS.MAX_JSON_LEVELS) throw new SyntaxError("too many levels");
    if (this.take("[")) return this.list(level + 1);
    if (this.take("{")) return this.object(level + 1);
    if (this.text[this.at] === '"') return this.string();
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    const [all, whole, fraction, exponent] = this.match(NUMBER) ?? [];
    if (all === undefined) throw new SyntaxError("no value");
    if (fraction !== undefined || exponent !== undefined) return Number(all);
    if (whole.replace("-", "").length > MAX_DIGITS) throw new SyntaxError("too many digits");
    return BigInt(whole);
  }

  string() {
    const start = this.at;
    let backslashes;
    if (this.text[start] !== '"') throw new SyntaxError("no string");
    do {
      this.at = this.text.indexOf('"', this.at + 1);
      if (this.at < 0) throw new SyntaxError("a string without end");
      for (backslashes = 0; this.text[this.at - 1 - backslashes] === "\\";) backslashes++;
    } while (backslashes % 2);
    const value = JSON.parse(this.text.slice(start, ++this.at));
    if (/\p{Cs}/u.test(value)) throw new SyntaxError("a lone surrogate");
    return value;
  }

  list(level) {
    const values = [];
    if (this.take("]")) return values;
    do values.push(this.value(level));
    while (this.take(","));
    this.require("]");
    return values;
  }

  object(level) {
    const values = new Map();
    if (this.take("}")) return values;
    do {
      this.match(SPACE);
      const key = this.string();
      this.require(":");
      values.set(key, this.value(level));
    } while (this.take(","));
    this.require("}");
    return values;
  }
}
