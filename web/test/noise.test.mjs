/**
 * The noise, compared with the thresholds and test vectors in docs/contract.md, and with the
 * interpolation of cgan_runtime. CGAN_PYTHON is the path of a Python with cgan_runtime.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { interpolate, philox, standardNormal, thresholds } from "../src/images/noise.js";

const CONTRACT = readFileSync(new URL("../../docs/contract.md", import.meta.url), "utf8");
const VECTORS = [
  ...CONTRACT.matchAll(/^\| ([^|]+) \| ([0-9,]+) \| (\d+) \| `(0x\w+)` \| (.+) \|$/gm),
];
const INTERPOLATIONS = fileURLToPath(
  new URL("../../tests/web/interpolations.py", import.meta.url),
);
const norm = (noise) => Math.sqrt(noise.reduce((sum, value) => sum + value * value, 0));

test("the thresholds are those of the contract", () => {
  const [, listed] = /### The thresholds\n(?:.+\n|\n(?! {4}))+\n((?: {4}.+\n)+)/.exec(CONTRACT);
  assert.deepEqual(thresholds(), listed.trim().split(/,\s+/).map(Number));
  assert.equal(thresholds().length, 254);
});

test("the contract has five test vectors", () => assert.equal(VECTORS.length, 5));

for (const [, seedText, indexText, dimText, word, values] of VECTORS) {
  test(`seed ${seedText}, index ${indexText}, noise_dim ${dimText}`, () => {
    const seed = seedText === "2^64 - 1" ? 2n ** 64n - 1n : BigInt(seedText);
    const index = BigInt(indexText.replaceAll(",", ""));
    const noiseDim = Number(dimText);
    const counter = index * BigInt(Math.ceil(noiseDim / 16)) + 1n;
    assert.equal(philox(seed, counter)[0], BigInt(word));
    const noise = standardNormal(seed, index, 1, noiseDim);
    const [firstFive, last] = values.split(" | ");
    assert.deepEqual(
      [...noise.slice(0, 5)].map((value) => value * 32),
      firstFive.split(", ").map(Number),
    );
    assert.equal(noise.at(-1) * 32, Number(last));
    assert.equal(noise.length, noiseDim);
  });
}

test("the noise of an image does not depend on the batch", () => {
  const batch = standardNormal(7n, 0n, 40, 100);
  assert.deepEqual(batch.slice(2500, 3300), standardNormal(7n, 25n, 8, 100));
});

test("the largest image index works", () => {
  assert.equal(standardNormal(1n, 2n ** 63n - 1n, 1, 64).length, 64);
});

test("an interpolation starts and ends at its two vectors", () => {
  const [from, to] = [standardNormal(1n, 0n, 1, 64), standardNormal(2n, 0n, 1, 64)];
  assert.deepEqual(interpolate(from, to, 0), from);
  assert.deepEqual(interpolate(from, to, 1), to);
});

// Vectors of one number are parallel, so some values lie halfway between two steps.
for (const [noiseDim, frames] of [
  [64, 48],
  [100, 4],
  [1, 3],
]) {
  test(`${frames} frames of a walk of ${noiseDim} numbers equal those of Python`, () => {
    const [walks, count] = [Array.from({ length: 8 }, (_, i) => [i, (i * i) % 7]), 50];
    const input = JSON.stringify({ walks, count, noise_dim: noiseDim, frames });
    const python = process.env.CGAN_PYTHON ?? "python3";
    const result = spawnSync(python, [INTERPOLATIONS], { input, maxBuffer: 2 ** 26 });
    assert.equal(result.status, 0, String(result.stderr));
    const own = [];
    for (const walk of walks) {
      const [from, to] = walk.map((seed) => standardNormal(BigInt(seed), 0n, count, noiseDim));
      const rowOf = (noise, i) => noise.subarray(i * noiseDim, (i + 1) * noiseDim);
      for (let frame = 0; frame < frames; frame++) {
        for (let i = 0; i < count; i++) {
          const position = frame / (frames - 1);
          own.push(Buffer.from(interpolate(rowOf(from, i), rowOf(to, i), position).buffer));
        }
      }
    }
    assert.ok(Buffer.concat(own).equals(result.stdout));
  });
}

test("an interpolation keeps the step size and the vector length", () => {
  const [from, to] = [standardNormal(1n, 0n, 1, 64), standardNormal(2n, 0n, 1, 64)];
  const middle = interpolate(from, to, 0.5);
  assert.ok(middle.every((value) => Number.isInteger(value * 32) && Math.abs(value) <= 127 / 32));
  const [shorter, longer] = [norm(from), norm(to)].sort((a, b) => a - b);
  assert.ok(norm(middle) > 0.95 * shorter && norm(middle) < 1.05 * longer);
});

test("an interpolation between equal vectors is constant", () => {
  const noise = standardNormal(1n, 0n, 1, 64);
  assert.deepEqual(interpolate(noise, noise, 0.3), noise);
});
