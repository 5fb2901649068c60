/** The pixels of an eight-bit grey PNG without filters, such as the page and cgan-run write. */
import assert from "node:assert/strict";
import { inflateSync } from "node:zlib";

/**
 * Return the images of a sheet, each pixel of which is drawn scale x scale large.
 *
 * @param {Buffer} file
 * @param {number} count - of images
 * @param {number} size - of an image, in pixels
 * @param {number} scale
 * @returns {{images: Uint8Array, columns: number}} images is [count, size, size]
 */
export function readSheet(file, count, size, scale) {
  const { width, height, pixels } = readPng(file);
  const columns = width / size / scale;
  assert.equal(height, Math.ceil(count / columns) * size * scale);
  const images = new Uint8Array(count * size * size);
  for (let at = 0; at < images.length; at++) {
    const [x, y, image] = [at % size, Math.floor(at / size) % size, Math.floor(at / size / size)];
    const left = (image % columns) * size + x;
    const top = Math.floor(image / columns) * size + y;
    images[at] = pixels[top * scale * width + left * scale];
  }
  return { images, columns };
}

/**
 * Return the pixels of a PNG.
 *
 * @param {Buffer} file
 * @returns {{width: number, height: number, pixels: Uint8Array}}
 */
export function readPng(file) {
  const chunks = new Map();
  assert.equal(file.toString("latin1", 0, 8), "\x89PNG\r\n\x1a\n");
  for (let at = 8; at < file.length;) {
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
