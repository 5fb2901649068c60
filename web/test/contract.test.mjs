/** The page's reader of model files, without a browser or onnxruntime-web. */
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

/** Return a length-delimited protobuf field, as in an ONNX file. */
function field(number, content) {
  const bytes = Buffer.from(content);
  assert.ok(bytes.length < 128 && number < 16);
  return Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
}

function property(key, value) {
  return field(14, Buffer.concat([field(1, key), field(2, value)]));
}

const modelError = (pattern) => (error) =>
  error instanceof ModelError && pattern.test(error.message);

test("the metadata of the shipped model is read", async () => {
  const info = await readInfo(readMetadata(model, "digits.onnx"), SESSION, "digits.onnx");
  assert.deepEqual(info.classNames, [..."0123456789"]);
  assert.deepEqual([info.noiseDim, info.height, info.width], [64, 28, 28]);
  assert.equal(info.golden.images.length, info.golden.labels.length * 28 * 28);
  assert.equal(typeof info.golden.seed, "bigint");
  assert.equal(info.precision, "int8");
});

test("a golden seed above 2^53 is read exactly", async () => {
  const metadata = readMetadata(model, "digits.onnx");
  const golden = metadata.get("cgan.golden").replace(/"seed": \d+/, '"seed": 18446744073709551615');
  metadata.set("cgan.golden", golden);
  const info = await readInfo(metadata, SESSION, "digits.onnx");
  assert.equal(info.golden.seed, 2n ** 64n - 1n);
});

test("non-ASCII and empty metadata values are read", () => {
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

test("every truncated file is rejected", () => {
  for (let length = 0; length < model.length; length += 997) {
    const part = model.subarray(0, length);
    assert.throws(() => readMetadata(part, "a.onnx"), modelError(/^a\.onnx is /), `${length}`);
  }
});

test("random bytes are rejected", () => {
  let state = 1;
  for (let length = 1; length < 400; length++) {
    const next = () => (state = (state * 16807) % 2147483647) & 255;
    const bytes = Uint8Array.from({ length }, next);
    assert.throws(
      () => readMetadata(bytes, "random.bin"),
      modelError(/^random\.bin is not an ONNX model/),
    );
  }
});

for (const [version, pattern] of [
  ["2", /follows model contract 2, but this page supports only 1/],
  ["0", /invalid contract version "0"/],
  ["one", /invalid contract version "one"/],
]) {
  test(`contract version ${version} is rejected`, () => {
    const file = Buffer.concat([field(7, "graph"), property("cgan.contract", version)]);
    assert.throws(() => readMetadata(file, "a.onnx"), modelError(pattern));
  });
}

test("an ONNX model without a contract is rejected", () => {
  assert.throws(
    () => readMetadata(field(7, "graph"), "a.onnx"),
    modelError(/was not written by cgan-export/),
  );
});

for (const [name, changed, pattern] of [
  ["another noise_dim", { "cgan.noise_dim": "100" }, /input must be .*100.* got .*\[batch, 64\]/],
  ["noise_dim 0", { "cgan.noise_dim": "0" }, /noise_dim is 0/],
  ["noise_dim that is not a number", { "cgan.noise_dim": "many" }, /"many" is not a whole number/],
  ["class_names that is not a list", { "cgan.class_names": '"0"' }, /list of strings/],
  ["no class names", { "cgan.class_names": "[]" }, /class_names is empty/],
  ["a golden sample without seed", { "cgan.golden": '{"labels": []}' }, /has no seed/],
]) {
  test(`${name} is rejected`, async () => {
    const metadata = readMetadata(model, "a.onnx");
    for (const [key, value] of Object.entries(changed)) metadata.set(key, value);
    await assert.rejects(readInfo(metadata, SESSION, "a.onnx"), modelError(pattern));
  });
}

test("a missing metadata key is named", async () => {
  const metadata = readMetadata(model, "a.onnx");
  metadata.delete("cgan.dataset");
  await assert.rejects(readInfo(metadata, SESSION, "a.onnx"), modelError(/dataset is missing/));
});
