/** The PNG writer, checked with an independent reader. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toPng } from "../src/images/png.js";
import { readPng } from "./png.mjs";

const imageOf = (channels) =>
  Uint8Array.from({ length: 6 * 5 * channels }, (_, i) => (i * 41) % 256);

for (const channels of [1, 3]) {
  test(`each pixel of ${channels} channels is enlarged`, async () => {
    const image = imageOf(channels);
    const file = Buffer.from(await (await toPng(image, 6, channels, 3)).arrayBuffer());
    const { pixels, ...shape } = readPng(file);
    assert.deepEqual(shape, { width: 18, height: 15, channels });
    for (let y = 0; y < 15; y++) {
      for (let x = 0; x < 18; x++) {
        const [at, from] = [y * 18 + x, Math.floor(y / 3) * 6 + Math.floor(x / 3)];
        assert.deepEqual(
          pixels.subarray(at * channels, (at + 1) * channels),
          image.subarray(from * channels, (from + 1) * channels),
        );
      }
    }
  });
}

test("the checksum of the empty chunk is correct", async () => {
  const file = Buffer.from(await (await toPng(imageOf(1), 6, 1, 1)).arrayBuffer());
  assert.equal(file.subarray(-12).toString("hex"), "0000000049454e44ae426082");
});
