/** A reader for the PNGs of the page and cgan-run: 8 bits per channel, without filters. */
import assert from "node:assert/strict";
import { inflateSync } from "node:zlib";

/**
 * Return the images of a sheet whose pixels are enlarged to scale x scale.
 *
 * @param {Buffer} file
 * @param {number} count - number of images
 * @param {[number, number]} size - height and width of an image, in pixels
 * @param {number} scale
 * @returns {{images: Uint8Array, columns: number}} images has shape [count, channels, ...size]
 */
export function readSheet(file, count, [rows, length], scale) {
  const { width, height, channels, pixels } = readPng(file);
  const columns = width / length / scale;
  assert.equal(height, Math.ceil(count / columns) * rows * scale);
  const images = new Uint8Array(count * channels * rows * length);
  for (let i = 0; i < images.length; i++) {
    const [x, y] = [i % length, Math.floor(i / length) % rows];
    const plane = Math.floor(i / length / rows);
    const image = Math.floor(plane / channels);
    const left = (image % columns) * length + x;
    const top = Math.floor(image / columns) * rows + y;
    images[i] = pixels[(top * width + left) * scale * channels + (plane % channels)];
  }
  return { images, columns };
}

/**
 * Return the pixels of a PNG.
 *
 * @param {Buffer} file
 * @returns {{width: number, height: number, channels: number, pixels: Uint8Array}} pixels has shape
 *     [height, width, channels]
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
  const [depth, colorType, ...others] = chunks.get("IHDR").subarray(8);
  assert.deepEqual([depth, ...others], [8, 0, 0, 0]);
  const channels = { 0: 1, 2: 3 }[colorType];
  const rows = inflateSync(chunks.get("IDAT"));
  const rowLength = width * channels;
  assert.equal(rows.length, height * (rowLength + 1));
  const pixels = new Uint8Array(rowLength * height);
  for (let y = 0; y < height; y++) {
    assert.equal(rows[y * (rowLength + 1)], 0);
    pixels.set(rows.subarray(y * (rowLength + 1) + 1, (y + 1) * (rowLength + 1)), y * rowLength);
  }
  return { width, height, channels, pixels };
}
