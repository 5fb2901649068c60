/** What the page reads of a model file, without a browser or onnxruntime. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readInfo, readMetadata } from "../src/contract.mjs";
import { ModelError } from "../src/errors.mjs";
import { metadataProps } from "../src/protobuf.mjs";

const SHIPPED = new URL("../../runtime/src/cgan_runtime/models/digits.onnx", import.meta.url);
const model = new Uint8Array(readFileSync(SHIPPED));
const SESSION = {
  inputMetadata: [
    { name: "noise", type: "float32", shape: ["batch", 64] },
    { name: "label", type: "int64", shape: ["batch"] },
  ],
  outputMetadata: [{ name: "image", type: "uint8", shape: ["batch", 1, 28, 28] }],
};

/** Return a protobuf field of texts or bytes, as an ONNX file holds it. */
function field(number, content) {
  const bytes = Buffer.from(content);
  assert.ok(bytes.length < 128 && number < 16);
  return Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
}

function property(key, value) {
  return field(14, Buffer.concat([field(1, key), field(2, value)]));
}

const refused = (pattern) => (error) => error instanceof ModelError && pattern.test(error.message);

test("the shipped model's metadata, and what they say", async () => {
  const info = await readInfo(readMetadata(model, "digits.onnx"), SESSION, "digits.onnx");
  assert.deepEqual(info.classNames, [..."0123456789"]);
  assert.deepEqual([info.noiseDim, info.height, info.width], [64, 28, 28]);
  assert.equal(info.golden.images.length, info.golden.labels.length * 28 * 28);
  assert.equal(typeof info.golden.seed, "bigint");
  assert.equal(info.precision, "int8");
});

test("a golden seed beyond what a float holds is read exactly", async () => {
  const metadata = readMetadata(model, "digits.onnx");
  const golden = metadata.get("cgan.golden").replace(/"seed": \d+/, '"seed": 18446744073709551615');
  metadata.set("cgan.golden", golden);
  const info = await readInfo(metadata, SESSION, "digits.onnx");
  assert.equal(info.golden.seed, 2n ** 64n - 1n);
});

test("texts other than ASCII, and empty ones", () => {
  const file = Buffer.concat([
    field(7, "graph"),
    property("name", "Größe 大"),
    field(14, field(1, "empty")),
  ]);
  assert.deepEqual(
    [...metadataProps(file)],
    [
      ["name", "Größe 大"],
      ["empty", ""],
    ],
  );
});

test("every truncation is refused, not misread", () => {
  for (let length = 0; length < model.length; length += 997) {
    const part = model.subarray(0, length);
    assert.throws(() => readMetadata(part, "part.onnx"), refused(/^part\.onnx is /), `${length}`);
  }
});

test("bytes that are no model are refused, whatever they are", () => {
  let state = 1;
  for (let length = 1; length < 400; length++) {
    const noise = Uint8Array.from({ length }, () => (state = (state * 16807) % 2147483647) & 255);
    assert.throws(
      () => readMetadata(noise, "noise.bin"),
      refused(/^noise\.bin is not an ONNX model/),
    );
  }
});

for (const [version, pattern] of [
  ["2", /follows model contract 2, this page knows 1/],
  ["0", /malformed contract version "0"/],
  ["one", /malformed contract version "one"/],
]) {
  test(`contract ${version} is refused`, () => {
    const file = Buffer.concat([field(7, "graph"), property("cgan.contract", version)]);
    assert.throws(() => readMetadata(file, "a.onnx"), refused(pattern));
  });
}

test("an ONNX model of somebody else's is refused", () => {
  assert.throws(
    () => readMetadata(field(7, "graph"), "a.onnx"),
    refused(/not one that cgan-export wrote/),
  );
});

for (const [name, changed, pattern] of [
  ["other noise", { "cgan.noise_dim": "100" }, /its input is .*\[batch, 64\].* promised is .*100/],
  ["no noise", { "cgan.noise_dim": "0" }, /no classes, or no noise/],
  ["noise_dim no number", { "cgan.noise_dim": "many" }, /"many" is not a whole number/],
  ["class names no list", { "cgan.class_names": '"0"' }, /list of strings/],
  ["a golden sample without seed", { "cgan.golden": '{"labels": []}' }, /has no seed/],
]) {
  test(`${name}: refused`, async () => {
    const metadata = readMetadata(model, "a.onnx");
    for (const [key, value] of Object.entries(changed)) metadata.set(key, value);
    await assert.rejects(readInfo(metadata, SESSION, "a.onnx"), refused(pattern));
  });
}

test("a key that is missing is named", async () => {
  const metadata = readMetadata(model, "a.onnx");
  metadata.delete("cgan.dataset");
  await assert.rejects(readInfo(metadata, SESSION, "a.onnx"), refused(/no cgan\.dataset/));
});
