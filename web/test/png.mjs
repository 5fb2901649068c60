/** The pixels of an eight-bit grey PNG without filters, such as the page and cgan-run write. */
import assert from "node:assert/strict";
import { inflateSync } from "node:zlib";

/**
 * @param {Buffer} file
 * @returns {{width: number, height: number, pixels: Uint8Array}}
 */
export function readPng(file) {
  const chunks = new Map();
  assert.equal(file.toString("latin1", 0, 8), "\x89PNG\r\n\x1a\n");
  for (let at = 8; at < file.length; ) {
    const length = file.readUInt32BE(at);
    const kind = file.toString("latin1", at + 4, at + 8);
    chunks.set(kind, file.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const [width, height] = [0, 4].map((at) => chunks.get("IHDR").readUInt32BE(at));
  assert.deepEqual([...chunks.get("IHDR").subarray(8)], [8, 0, 0, 0, 0]);
  const rows = inflateSync(chunks.get("IDAT"));
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    assert.equal(rows[y * (width + 1)], 0);
    pixels.set(rows.subarray(y * (width + 1) + 1, (y + 1) * (width + 1)), y * width);
  }
  return { width, height, pixels };
}
