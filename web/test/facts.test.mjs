/** What the page says of a drawing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as facts from "../src/facts.mjs";

const DIGITS = { classNames: [..."0123456789"] };
const GARMENTS = { classNames: ["T-shirt/top", "Bag", "Ankle boot", "it's"] };
const asked = (labels) => ({ labels, count: 3, seed: 2n ** 64n - 1n, to: 2n, way: 0 });
const END = "--count 3 --seed 18446744073709551615";

for (const [title, labels, info, path, expected] of [
  ["a digit", [9], DIGITS, null, `cgan-run --digit 9 ${END}`],
  ["a number", [2, 0, 2, 6], DIGITS, null, `cgan-run --digits 2026 ${END}`],
  ["a class", [2], GARMENTS, "f.onnx", `cgan-run --model f.onnx --label 'Ankle boot' ${END}`],
  ["every class", [0, 1, 2, 3], GARMENTS, "my f.onnx", `cgan-run --model 'my f.onnx' ${END}`],
  ["a quote", [3], GARMENTS, "f.onnx", `cgan-run --model f.onnx --label 'it'\\''s' ${END}`],
]) {
  test(`the command of ${title}`, () => {
    assert.equal(facts.command(asked(labels), info, path).join(" "), expected);
  });
}

test("a file is named after what it shows", () => {
  const now = { ...asked([2, 0]), seed: 7n };
  assert.equal(facts.fileName(now, DIGITS), "digits-20-seed-7.png");
  assert.equal(facts.fileName({ ...now, way: 0.29 }, DIGITS), "digits-20-seed-7-to-2-29.png");
  assert.equal(facts.fileName({ ...now, labels: [0] }, GARMENTS), "T-shirt-top-seed-7.png");
});

test("time, for one image and for several", () => {
  assert.equal(facts.latency(1, 0.05), "1 image in under 0.1 ms");
  assert.equal(facts.latency(200, 5), "200 images in 5.0 ms, 25 µs each");
});

test("a provider that draws wrong is called that, one that rounds otherwise is not", () => {
  const say = (off, drawsRight) =>
    facts.provider({ provider: "wasm", golden: { wasm: off }, milliseconds: {}, drawsRight });
  assert.equal(say(0, true), "WebAssembly, the model's own sample comes out exactly");
  assert.equal(say(1, true), "WebAssembly, up to 1 grey level off the model's own sample");
  assert.match(say(7, false), /up to 7 grey levels off .*: this device draws it wrong$/);
});
