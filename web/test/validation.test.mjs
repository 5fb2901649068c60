/**
 * The page's validation of model files, without a browser. The page and cgan_runtime must accept
 * the same files, and reject other files with the same messages. CGAN_PYTHON is the path of a Python
 * with cgan_runtime, pytest and onnx.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ModelError } from "../src/errors.js";
import { checkVersion, readInfo } from "../src/model/contract.js";
import { printable, quoted } from "../src/model/escaping.js";
import { parseJson } from "../src/model/json.js";
import { digestOf, sha256 } from "../src/model/sha256.js";
import { CONTRACT, LIMITS, PAGE_ADVICE } from "../src/model/tables.js";
import { checkSize, validateModel } from "../src/model/validation/graph_validation.js";

const CORPUS = fileURLToPath(new URL("../../tests/web/corpus.py", import.meta.url));
const SHIPPED = new URL("../../runtime/src/cgan_runtime/models/digits.onnx", import.meta.url);
const MUTANTS = "1500";
const MAX_MILLISECONDS = 60_000; // longest validation of one file, on a busy machine

let folder, cases;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "cgan-corpus-"));
  const python = process.env.CGAN_PYTHON ?? "python3";
  const result = spawnSync(python, [CORPUS, folder, MUTANTS], { encoding: "utf8" });
  assert.equal(result.status, 0, result.stdout + result.stderr);
  cases = JSON.parse(readFileSync(join(folder, "cases.json"), "utf8"));
});

after(() => rmSync(folder, { recursive: true, force: true }));

/** Return the message of the ModelError that a call throws, or an empty text. */
async function errorOf(call) {
  try {
    await call();
    return "";
  } catch (error) {
    if (error instanceof ModelError) return error.message;
    throw error;
  }
}

/** Return the message of cgan-run with the advice for visitors of the page. */
function forPage(error) {
  const [, text, advice] = /^(.*; )(.*)$/.exec(error) ?? ["", "", ""];
  return text + (PAGE_ADVICE[advice] ?? advice);
}

const fromJson = ([name, type, shape]) => {
  const axis = (size) => (typeof size === "number" ? BigInt(size) : (size ?? "None"));
  return { name, type, shape: shape.map(axis) };
};

test("the page and cgan-run report the same errors about every file", async () => {
  const counts = { valid: 0, rejected: 0 };
  const differing = [];
  for (const { kind, file, error, maxBatch } of cases.filter((each) => "file" in each)) {
    const bytes = new Uint8Array(readFileSync(join(folder, file)));
    const start = performance.now();
    const actual = await errorOf(async () => {
      const model = await validateModel(bytes, "m.onnx");
      await readInfo(model, "m.onnx");
      assert.equal(model.maxBatch, maxBatch, kind);
    });
    assert.ok(performance.now() - start < MAX_MILLISECONDS, kind);
    if (actual !== forPage(error)) differing.push({ kind, expected: forPage(error), actual });
    counts[actual ? "rejected" : "valid"]++;
  }
  assert.deepEqual(differing.slice(0, 9), []);
  assert.ok(counts.valid > 50 && counts.rejected > 1000, JSON.stringify(counts));
});

test("the page and cgan-run report the same errors about all metadata", async () => {
  const differing = [];
  const listed = cases.filter((each) => "metadata" in each);
  for (const { metadata, inputs, outputs, source, error } of listed) {
    const file = { metadata: new Map(Object.entries(metadata)) };
    Object.assign(file, { inputs: inputs.map(fromJson), outputs: outputs.map(fromJson) });
    const actual = await errorOf(() => {
      checkVersion(file.metadata, source);
      return readInfo(file, source);
    });
    if (actual !== forPage(error)) differing.push({ expected: forPage(error), actual });
  }
  assert.deepEqual(differing.slice(0, 9), []);
  assert.ok(listed.length > 100, String(listed.length));
});

test("the metadata of the shipped model are read", async () => {
  const bytes = new Uint8Array(readFileSync(SHIPPED));
  const info = await readInfo(await validateModel(bytes, "digits.onnx"), "digits.onnx");
  assert.deepEqual(info.classNames, [..."0123456789"]);
  assert.deepEqual([info.noiseDim, info.height, info.width], [64, 28, 28]);
  assert.equal(info.golden.images.length, info.golden.labels.length * 28 * 28);
  assert.equal(typeof info.golden.seed, "bigint");
  assert.equal(info.precision, "int8");
});

test("a file with two class names exchanged and its old checksum is rejected", async () => {
  const bytes = readFileSync(SHIPPED);
  const start = bytes.indexOf('["0", "1"');
  assert.ok(start > 0);
  bytes.write('["1", "0"', start);
  const call = () => validateModel(new Uint8Array(bytes), "digits.onnx");
  assert.match(await errorOf(call), /^digits\.onnx was changed after its export: the SHA-256 of/);
});

test("a file that is too large is rejected by its size", async () => {
  const message = "m.onnx is larger than the limit of 134,217,728 bytes; open another file";
  assert.equal(await errorOf(() => checkSize(LIMITS.MAX_FILE_BYTES + 1, "m.onnx")), message);
  assert.equal(await errorOf(() => checkSize(LIMITS.MAX_FILE_BYTES, "m.onnx")), "");
});

test("SHA-256 without crypto.subtle is that of node", async () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 100_003]) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 7919) >> 3);
    const expected = createHash("sha256").update(bytes).digest("hex");
    assert.equal(Buffer.from(digestOf(bytes)).toString("hex"), expected);
    assert.equal(await sha256(bytes), expected);
  }
});

test("texts are quoted as Python quotes them", () => {
  for (const [text, expected] of [
    ["a", "'a'"],
    ["it's", `"it's"`],
    [`it's "x"`, `'it\\'s "x"'`],
    ["\x1b\n\\\u2028\u{e0001}", "'\\x1b\\n\\\\\\u2028\\U000e0001'"],
    ["é".repeat(50), `'${"é".repeat(39)}`],
  ]) {
    assert.equal(quoted(text), expected);
  }
  assert.equal(printable("a b\n\u200d\x1b é"), "a b\\n\u200d\\x1b é");
});

test("whole numbers in JSON are exact, and other texts than JSON are rejected", () => {
  assert.deepEqual(parseJson(' {"a": [18446744073709551615, 1.5, "\\u00e9", null]} ').get("a"), [
    2n ** 64n - 1n,
    1.5,
    "é",
    null,
  ]);
  for (const text of ["", "NaN", "[1,]", '{"a" 1}', "01", "1 2", "'a'", '"\n"', '"\\ud800"', '"']) {
    assert.throws(() => parseJson(text), SyntaxError, text);
  }
});

test("the reader's tables name the contract", () => assert.equal(CONTRACT.version, 1));
