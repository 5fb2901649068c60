/** Links: they restore a request, and their text is untrusted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { newRequest, readLink, walkEnd, withLabels, writeLink } from "../src/page/request.js";

const DIGITS = { classNames: [..."0123456789"], height: 28, width: 28 };
const FIRST = newRequest(DIGITS);
const LAST = 2n ** 64n - 1n;

for (const [title, changes, expected] of [
  ["a first visit", {}, "digits=0123456789&count=10&seed=1"],
  ["a number", { labels: [2, 0, 2, 6], count: 5, seed: LAST }, `digits=2026&count=5&seed=${LAST}`],
  ["the same noise", { sameNoise: true }, "digits=0123456789&count=10&seed=1&noise=same"],
  ["the end of a walk", { endSeed: 8n }, "digits=0123456789&count=10&seed=1&to=8"],
  ["a frame", { frame: 19, endSeed: 8n }, "digits=0123456789&count=10&seed=1&to=8&frame=19"],
]) {
  test(`a link restores ${title}`, () => {
    const request = { ...FIRST, ...changes };
    assert.equal(writeLink(request, DIGITS), expected);
    assert.deepEqual(readLink(expected, DIGITS), request);
  });
}

test("a link to a frame states the end of the walk", () => {
  const link = writeLink({ ...FIRST, seed: LAST, frame: 1 }, DIGITS);
  assert.equal(link, `digits=0123456789&count=10&seed=${LAST}&to=0&frame=1`);
});

for (const link of [
  "",
  "digits=x&count=-1&seed=abc&to=&frame=lots&noise=other",
  "digits=%00&count=1e3&seed=0x1&to=1.5&frame=48",
  "count=1001&seed=18446744073709551616&to=-1&frame=-1",
  "count=99999999999999999999&frame=007",
  "count=NaN&frame=Infinity&seed=%F0%9F%98%80",
  "__proto__=1&constructor=1&labels=1&sameNoise=true",
  `seed=${"9".repeat(1_000_000)}`,
  `${"&".repeat(1_000_000)}count=3`,
]) {
  test(`an invalid link keeps the first visit: ${link.slice(0, 60)}`, () => {
    assert.deepEqual(readLink(link, DIGITS), FIRST);
  });
}

test("a link shows at most 20 digits and 1,000 images", () => {
  const { labels, count } = readLink(`count=1000&digits=${"7".repeat(500)}`, DIGITS);
  assert.equal(labels.length, 20);
  assert.ok(labels.length * count <= 1000);
});

test("large images and many labels reduce the count", () => {
  const large = { classNames: ["a", "b"], height: 1024, width: 1024 };
  assert.equal(newRequest(large).count, 2);
  assert.equal(withLabels({ ...FIRST, count: 1000 }, [1, 2, 3], DIGITS).count, 333);
});

test("a walk without a chosen end leads to the next seed", () => {
  assert.equal(walkEnd({ seed: 7n, endSeed: null }), 8n);
  assert.equal(walkEnd({ seed: LAST, endSeed: null }), 0n);
  assert.equal(walkEnd({ seed: 7n, endSeed: 7n }), 7n);
});
