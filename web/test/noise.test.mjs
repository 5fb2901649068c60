/** The sampler against docs/contract.md itself: its thresholds, and its table of test vectors. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { between, philox, standardNormal, thresholds } from "../src/noise.mjs";

const CONTRACT = readFileSync(new URL("../../docs/contract.md", import.meta.url), "utf8");
const VECTORS = [
  ...CONTRACT.matchAll(/^\| ([^|]+) \| ([0-9,]+) \| (\d+) \| `(0x\w+)` \| (.+) \|$/gm),
];
const norm = (noise) => Math.sqrt(noise.reduce((sum, each) => sum + each * each, 0));

test("the thresholds are the contract's", () => {
  const [, listed] = /### The thresholds\n(?:.+\n|\n(?! {4}))+\n((?: {4}.+\n)+)/.exec(CONTRACT);
  assert.deepEqual(thresholds(), listed.trim().split(/,\s+/).map(Number));
  assert.equal(thresholds().length, 254);
});

test("the contract has test vectors", () => assert.equal(VECTORS.length, 5));

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
      [...noise.slice(0, 5)].map((each) => each * 32),
      firstFive.split(", ").map(Number),
    );
    assert.equal(noise.at(-1) * 32, Number(last));
    assert.equal(noise.length, noiseDim);
  });
}

test("an image's noise is the same whatever is drawn beside it", () => {
  const together = standardNormal(7n, 0n, 40, 100);
  assert.deepEqual(together.slice(2500, 3300), standardNormal(7n, 25n, 8, 100));
});

test("the largest index is within reach", () => {
  assert.equal(standardNormal(1n, 2n ** 63n - 1n, 1, 64).length, 64);
});

test("a walk begins and ends at its ends", () => {
  const [from, to] = [standardNormal(1n, 0n, 1, 64), standardNormal(2n, 0n, 1, 64)];
  assert.deepEqual(between(from, to, 0), from);
  assert.deepEqual(between(from, to, 1), to);
});

test("a walk keeps to the grid, and to the length of what the network has learnt", () => {
  const [from, to] = [standardNormal(1n, 0n, 1, 64), standardNormal(2n, 0n, 1, 64)];
  const middle = between(from, to, 0.5);
  assert.ok(middle.every((each) => Number.isInteger(each * 32) && Math.abs(each) <= 127 / 32));
  const [shorter, longer] = [norm(from), norm(to)].sort((left, right) => left - right);
  assert.ok(norm(middle) > 0.95 * shorter && norm(middle) < 1.05 * longer);
});

test("a walk from a seed to itself stands still", () => {
  const noise = standardNormal(1n, 0n, 1, 64);
  assert.deepEqual(between(noise, noise, 0.3), noise);
});
