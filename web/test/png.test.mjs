/** The PNG writer, read back by code that is not its own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toPng } from "../src/png.mjs";
import { readPng } from "./png.mjs";

const page = Uint8Array.from({ length: 6 * 5 }, (_, at) => (at * 41) % 256);

test("each pixel, enlarged", async () => {
  const file = Buffer.from(await (await toPng(page, 6, 3)).arrayBuffer());
  const { width, height, pixels } = readPng(file);
  assert.deepEqual([width, height], [18, 15]);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      assert.equal(pixels[y * width + x], page[Math.floor(y / 3) * 6 + Math.floor(x / 3)]);
    }
  }
});

test("the checksum of the empty chunk is the standard's", async () => {
  const file = Buffer.from(await (await toPng(page, 6, 1)).arrayBuffer());
  assert.equal(file.subarray(-12).toString("hex"), "0000000049454e44ae426082");
});
