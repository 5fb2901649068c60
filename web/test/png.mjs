/** Read eight-bit gray PNGs without filters, which the page and cgan-run write. */
import assert from "node:assert/strict";
import { inflateSync } from "node:zlib";

/**
 * Return the images of a sheet whose pixels are enlarged to scale x scale.
 *
 * @param {Buffer} file
 * @param {number} count - number of images
 * @param {number} size - height and width of an image, in pixels
 * @param {number} scale
 * @returns {{images: Uint8Array, columns: number}} images has shape [count, size, size]
 */
export function readSheet(file, count, size, scale) {
  const { width, height, pixels } = readPng(file);
  const columns = width / size / scale;
  assert.equal(height, Math.ceil(count / columns) * size * scale);
  const images = new Uint8Array(count * size * size);
  for (let i = 0; i < images.length; i++) {
    const [x, y, image] = [i % size, Math.floor(i / size) % size, Math.floor(i / size / size)];
    const left = (image % columns) * size + x;
    const top = Math.floor(image / columns) * size + y;
    images[i] = pixels[top * scale * width + left * scale];
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
  for (let start = 8; start < file.length;) {
    const length = file.readUInt32BE(start);
    const type = file.toString("latin1", start + 4, start + 8);
    chunks.set(type, file.subarray(start + 8, start + 8 + length));
    start += 12 + length;
  }
  const [width, height] = [0, 4].map((offset) => chunks.get("IHDR").readUInt32BE(offset));
  assert.deepEqual([...chunks.get("IHDR").subarray(8)], [8, 0, 0, 0, 0]);
  const rows = inflateSync(chunks.get("IDAT"));
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    assert.equal(rows[y * (width + 1)], 0);
    pixels.set(rows.subarray(y * (width + 1) + 1, (y + 1) * (width + 1)), y * width);
  }
  return { width, height, pixels };
}
