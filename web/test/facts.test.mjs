/** The texts that describe the generated images. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as facts from "../src/facts.js";

const DIGITS = { classNames: [..."0123456789"] };
const GARMENTS = { classNames: ["T-shirt/top", "Bag", "Ankle boot", "it's"] };
const stateOf = (labels) => ({ labels, count: 3, seed: 2n ** 64n - 1n, to: 2n, position: 0 });
const END = "--count 3 --seed 18446744073709551615";

for (const [title, labels, info, path, expected] of [
  ["one digit", [9], DIGITS, null, `cgan-run --digit 9 ${END}`],
  ["a number", [2, 0, 2, 6], DIGITS, null, `cgan-run --digits 2026 ${END}`],
  ["one class", [2], GARMENTS, "f.onnx", `cgan-run --model f.onnx --label 'Ankle boot' ${END}`],
  ["every class", [0, 1, 2, 3], GARMENTS, "my f.onnx", `cgan-run --model 'my f.onnx' ${END}`],
  [
    "control characters",
    [0],
    { classNames: ["a\x1b\n'\\", "b"] },
    "-x\n.onnx",
    `cgan-run --model $'./-x\\u000a.onnx' --label $'a\\u001b\\u000a\\'\\\\' ${END}`,
  ],
  ["a quote", [3], GARMENTS, "f.onnx", `cgan-run --model f.onnx --label 'it'\\''s' ${END}`],
]) {
  test(`the command for ${title}`, () => {
    assert.equal(facts.command(stateOf(labels), info, path).join(" "), expected);
  });
}

test("a file name contains the classes and the seed", () => {
  const state = { ...stateOf([2, 0]), seed: 7n };
  assert.equal(facts.fileName(state, DIGITS), "digits-20-seed-7.png");
  const interpolated = { ...state, position: 0.29 };
  assert.equal(facts.fileName(interpolated, DIGITS), "digits-20-seed-7-to-2-29.png");
  assert.equal(facts.fileName({ ...state, labels: [0] }, GARMENTS), "t-shirt-top-seed-7.png");
});

test("names are shown composed, on one line and without control characters", () => {
  const info = {
    classNames: ["cafe\u0301", "a\x1b[31m\nb\u202e", "\u0645\u06cc\u200c\u0631", " ", "x"],
  };
  const shown = (label) => facts.namesOf([label], info);
  assert.equal(shown(0), "caf\u00e9");
  assert.equal(shown(1), "a\\x1b[31m\\nb\\u202e");
  assert.equal(shown(2), info.classNames[2]);
  assert.equal(shown(3), '" "');
  const name = (label) => facts.fileName({ ...stateOf([label]), seed: 7n }, info);
  assert.equal(name(0), "caf\u00e9-seed-7.png");
  assert.equal(name(1), "a-31m-b-seed-7.png");
  assert.equal(name(3), "class-seed-7.png");
  const model = {
    bytes: { length: 1000 },
    source: "a\n.onnx",
    info: { precision: "fp32", dataset: "d\x07" },
  };
  assert.equal(facts.model(model), "a\\n.onnx, 1 kB, fp32, d\\x07");
});

test("the latency text of one image and of several images", () => {
  assert.equal(facts.latency(1, 0.05), "1 image in under 0.1 ms");
  assert.equal(facts.latency(200, 5), "200 images in 5.0 ms, 25 µs each");
});

test("the provider text states the pixel error on the golden sample", () => {
  const describe = (wasm, passesGolden) =>
    facts.provider({ provider: "wasm", goldenErrors: { wasm }, milliseconds: {}, passesGolden });
  assert.equal(describe(0, true), "WebAssembly, matches the golden sample exactly");
  assert.equal(describe(1, true), "WebAssembly, max pixel error 1 on the golden sample");
  assert.match(describe(7, false), /max pixel error 7 .*: this device generates wrong images$/);
});
