/** The captions, commands and file names that describe the generated images. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as captions from "../src/page/captions.js";
import { command, fileName } from "../src/page/command.js";

const DIGITS = { classNames: [..."0123456789"] };
const GARMENTS = { classNames: ["T-shirt/top", "Bag", "Ankle boot", "it's"] };
const LAST_SEED = { seed: 2n ** 64n - 1n, endSeed: null };
const stateOf = (labels) => ({ labels, count: 3, ...LAST_SEED, sameNoise: false, frame: 0 });
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
    assert.equal(command(stateOf(labels), false, info, path).join(" "), expected);
  });
}

const WALK = "--count 3 --walk 18446744073709551615:0 --frames 48";
for (const [title, request, isWalk, info, expected] of [
  ["the same noise", { sameNoise: true }, false, DIGITS, `--digits 20 ${END} --same-noise`],
  [
    "the same noise of one digit",
    { labels: [2], sameNoise: true },
    false,
    DIGITS,
    `--digit 2 ${END}`,
  ],
  ["a walk", {}, true, DIGITS, `--digits 20 ${WALK}`],
  ["a walk of one digit", { labels: [2] }, true, DIGITS, `--digit 2 ${WALK}`],
  ["a walk of all classes", { labels: [0, 1, 2, 3] }, true, GARMENTS, WALK],
  ["a walk of one class", { labels: [1] }, true, GARMENTS, `--label Bag ${WALK}`],
  ["a walk of the same noise", { sameNoise: true }, true, DIGITS, `--digits 20 ${WALK} --same-noise`],
]) {
  test(`the command for ${title}`, () => {
    const words = command({ ...stateOf([2, 0]), ...request }, isWalk, info, null);
    assert.equal(words.join(" "), `cgan-run ${expected}`);
  });
}

test("a file name contains the classes, the seed and the mode", () => {
  const state = { ...stateOf([2, 0]), seed: 7n };
  assert.equal(fileName(state, DIGITS), "digits-20-seed-7.png");
  const shared = { ...state, sameNoise: true };
  assert.equal(fileName(shared, DIGITS), "digits-20-same-noise-seed-7.png");
  const walking = { ...state, frame: 19 };
  assert.equal(fileName(walking, DIGITS), "digits-20-walk-7-8-frame-19.png");
  assert.equal(fileName({ ...state, labels: [0] }, GARMENTS), "t-shirt-top-seed-7.png");
});

test("the description of a sheet states the mode", () => {
  const state = { ...stateOf([2, 0]), seed: 7n, endSeed: 9n, sameNoise: true, frame: 19 };
  assert.equal(
    captions.description(state, DIGITS),
    "20, 3 of each, generated with seed 7, the same noise in each row, " +
      "frame 20 of 48 of the walk to 9",
  );
});

test("names are shown composed, on one line and without control characters", () => {
  const info = {
    classNames: ["cafe\u0301", "a\x1b[31m\nb\u202e", "\u0645\u06cc\u200c\u0631", " ", "x"],
  };
  const shown = (label) => captions.namesOf([label], info);
  assert.equal(shown(0), "caf\u00e9");
  assert.equal(shown(1), "a\\x1b[31m\\nb\\u202e");
  assert.equal(shown(2), info.classNames[2]);
  assert.equal(shown(3), '" "');
  const name = (label) => fileName({ ...stateOf([label]), seed: 7n }, info);
  assert.equal(name(0), "caf\u00e9-seed-7.png");
  assert.equal(name(1), "a-31m-b-seed-7.png");
  assert.equal(name(3), "class-seed-7.png");
  const model = {
    bytes: { length: 1000 },
    source: "a\n.onnx",
    info: { precision: "fp32", dataset: "d\x07" },
  };
  assert.equal(captions.model(model), "a\\n.onnx, 1 kB, fp32, d\\x07");
});

test("the latency text of one image and of several images", () => {
  assert.equal(captions.latency(1, 0.05), "1 image in under 0.1 ms");
  assert.equal(captions.latency(200, 5), "200 images in 5.0 ms, 25 µs each");
});

test("the self-test states the pixel error on the golden sample", () => {
  const describe = (wasm, passesGolden) =>
    captions.selfTest({ provider: "wasm", goldenErrors: { wasm }, passesGolden });
  assert.equal(describe(0, true), "Self-test passed");
  assert.equal(describe(1, true), "Self-test passed (max pixel error 1)");
  assert.match(describe(7, false), /^Self-test failed: .* wrong images \(max pixel error 7\)$/);
});
