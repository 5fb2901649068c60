/**
 * The checksum at the end of a model file. A port of cgan_runtime/model_file/checksum.py; change
 * both.
 */
import { modelError } from "./messages.js";
import { sha256 } from "./sha256.js";
import { CONTRACT } from "./tables.js";

const SHA256_DIGITS = 64; // number of hexadecimal digits of a SHA-256

/** Throw a ModelError if the checksum of a file is missing or differs. */
export async function verifyChecksum(content, source) {
  const body = content.subarray(0, Math.max(0, content.length - CONTRACT.checksumBytes));
  const checksum = String.fromCharCode(...content.subarray(body.length));
  const values = { source, key: CONTRACT.contentKey };
  const prefix = entry("0".repeat(SHA256_DIGITS)).slice(0, -SHA256_DIGITS);
  if (!checksum.startsWith(prefix)) throw modelError("no checksum", values);
  if (checksum !== entry(await sha256(body))) throw modelError("wrong checksum", values);
}

/** Return the encoded metadata entry: field 14 of ModelProto, with key (1) and value (2). */
function entry(digest) {
  const field = (number, value) => String.fromCharCode(8 * number + 2, value.length) + value;
  return field(14, field(1, CONTRACT.contentKey) + field(2, digest));
}
