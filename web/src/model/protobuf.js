/** A small protobuf reader. A port of cgan_runtime/model_file/protobuf.py; change both. */
import { errorMessage, grouped } from "./messages.js";
import { LIMITS } from "./tables.js";

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

/** The bytes are not a message of the schema; error.message says why. */
export class ProtobufError extends Error {}

function reject(name, values) {
  throw new ProtobufError(errorMessage(name, values));
}

/**
 * Read a whole message; if strict, reject fields that the schema does not list.
 *
 * @param {Uint8Array} content
 * @param {object} schema - [name, kind, repeated] by field number
 * @param {boolean} strict
 * @returns {object} the values by field name: a bigint (signed, 64 bits), a string, the position
 *     [start, end] of a bytes field, the four bytes of a float, a message, or a list of values
 * @throws {ProtobufError}
 */
export function readMessage(content, schema, strict = true) {
  return new Reader(content, strict).readFields(schema, 0, content.length);
}

class Reader {
  #at = 0;
  #fieldsLeft = LIMITS.MAX_FIELDS;
  #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(content, strict) {
    this.content = content;
    this.strict = strict;
  }

  /** Read the fields of the message between two positions. */
  readFields(schema, start, end) {
    const fields = {};
    for (const [name, , repeated] of Object.values(schema)) if (repeated) fields[name] = [];
    this.#at = start;
    while (this.#at < end) {
      const { number, wire, value } = this.#field(end);
      const after = this.#at;
      if (!Object.hasOwn(schema, number)) {
        if (this.strict || number === 0n) reject("unknown field", { number });
        continue;
      }
      const [name, kind, repeated] = schema[number];
      if (wire === LENGTH && kind === "int" && repeated) {
        for (const item of this.#packed(...value)) fields[name].push(item);
        continue;
      }
      const expected = { int: VARINT, float: FIXED32 }[kind] ?? LENGTH;
      if (wire !== expected) reject("unexpected wire type", { wire, number });
      let read = value;
      if (kind === "str") read = this.#text(...value);
      else if (typeof kind === "object") read = this.readFields(kind, ...value);
      this.#at = after;
      if (repeated) fields[name].push(read);
      else if (Object.hasOwn(fields, name)) reject("duplicate field", { number });
      else fields[name] = read;
    }
    return fields;
  }

  #field(end) {
    this.#count(1);
    const key = this.#varint(end);
    const number = key >> 3n;
    const wire = Number(key & 7n);
    if (wire === VARINT) return { number, wire, value: this.#int64(end) };
    let size;
    if (wire === LENGTH) size = Number(this.#varint(end));
    else if (wire === FIXED32 || wire === FIXED64) size = wire === FIXED32 ? 4 : 8;
    else reject("unknown wire type", { wire });
    const start = this.#at;
    this.#at += size;
    if (this.#at > end) reject("truncated");
    const value = wire === LENGTH ? [start, this.#at] : this.content.subarray(start, this.#at);
    return { number, wire, value };
  }

  #text(start, end) {
    try {
      return this.#decoder.decode(this.content.subarray(start, end));
    } catch {
      return reject("not UTF-8");
    }
  }

  #packed(start, end) {
    const values = [];
    this.#count(end - start);
    this.#at = start;
    while (this.#at < end) values.push(this.#int64(end));
    return values;
  }

  #count(fields) {
    this.#fieldsLeft -= fields;
    if (this.#fieldsLeft < 0) reject("too many fields", { limit: grouped(LIMITS.MAX_FIELDS) });
  }

  #int64(end) {
    return BigInt.asIntN(64, this.#varint(end));
  }

  /** Return an unsigned 64-bit number. */
  #varint(end) {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.#at >= end) reject("truncated");
      const byte = this.content[this.#at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128 && value < 2n ** 64n) return value;
    }
    return reject("number too long");
  }
}
