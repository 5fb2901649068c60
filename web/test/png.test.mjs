/** The PNG writer, checked with an independent reader. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toPng } from "../src/png.js";
import { readPng } from "./png.mjs";

const image = Uint8Array.from({ length: 6 * 5 }, (_, i) => (i * 41) % 256);

test("each pixel is enlarged", async () => {
  const file = Buffer.from(await (await toPng(image, 6, 3)).arrayBuffer());
  const { width, height, pixels } = readPng(file);
  assert.deepEqual([width, height], [18, 15]);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      assert.equal(pixels[y * width + x], image[Math.floor(y / 3) * 6 + Math.floor(x / 3)]);
    }
  }
});

test("the checksum of the empty chunk is correct", async () => {
  const file = Buffer.from(await (await toPng(image, 6, 1)).arrayBuffer());
  assert.equal(file.subarray(-12).toString("hex"), "0000000049454e44ae426082");
});
