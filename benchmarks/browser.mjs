/**
 * What does drawing in a browser cost beside onnxruntime itself, and do threads pay there?
 *
 *     CGAN_PYTHON=.venv/bin/python node benchmarks/browser.mjs    # after make test-web
 *
 * The model that ships, the network alone: onnxruntime on one thread, onnxruntime-web on one and on
 * two, in turns. Prints medians in microseconds an image, and what the page's sampler takes.
 */
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DIST, build } from "../web/build.mjs";
import { serve } from "../web/serve.mjs";
import { WITHOUT_GPU, launch } from "../web/test/chromium.mjs";

const BATCHES = [1, 16, 64, 256];
const ROUNDS = 61;
const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** Reads a batch size a line, and writes the median microseconds of five runs. */
const NATIVE = `
import sys, time
import numpy as np
from cgan_runtime.generator import SHIPPED_MODEL
from cgan_runtime.noise import standard_normal
from cgan_runtime.inference.session import open_session
session = open_session(SHIPPED_MODEL.read_bytes(), "digits.onnx", "cpu", 1)
for line in sys.stdin:
    count = int(line)
    feeds = {"noise": standard_normal(1, 0, count, 64), "label": np.arange(count) % 10}
    times = []
    for _ in range(5):
        began = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - began)
    print(sorted(times)[2] * 1e6, flush=True)
`;

function native() {
  const python = spawn(process.env.CGAN_PYTHON ?? "python3", ["-c", NATIVE], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: python.stdout })[Symbol.asyncIterator]();
  const time = async (count) => {
    python.stdin.write(`${count}\n`);
    return Number((await lines.next()).value);
  };
  return { time, end: () => python.stdin.end() };
}

/** Open the model in a page of its own, with so many threads. */
async function inBrowser(context, address, threads) {
  const page = await context.newPage();
  await page.goto(address);
  await page.evaluate(async (numThreads) => {
    const { ONNXRUNTIME } = await import("./built.mjs");
    const { BUILDS, filesOf } = await import("./builds.mjs");
    const { standardNormal } = await import("./noise.mjs");
    const folder = new URL(`vendor/onnxruntime-web-${ONNXRUNTIME}/`, location.href);
    const [module, mjs, wasm] = filesOf(BUILDS.wasm).map((file) => new URL(file, folder).href);
    const ort = await import(module);
    Object.assign(ort.env.wasm, { numThreads, wasmPaths: { mjs, wasm } });
    const model = await (await fetch("digits.onnx")).arrayBuffer();
    const session = await ort.InferenceSession.create(new Uint8Array(model));
    const median = (times) => times.sort((left, right) => left - right)[2] * 1000;
    globalThis.timeNetwork = async (count) => {
      const noise = new ort.Tensor("float32", standardNormal(1n, 0n, count, 64), [count, 64]);
      const labels = BigInt64Array.from({ length: count }, (_, at) => BigInt(at % 10));
      const label = new ort.Tensor("int64", labels, [count]);
      const times = [];
      for (let repeat = 0; repeat < 5; repeat++) {
        const began = performance.now();
        await session.run({ noise, label });
        times.push(performance.now() - began);
      }
      return median(times);
    };
    globalThis.timeSampler = (count) => {
      const times = [];
      for (let repeat = 0; repeat < 5; repeat++) {
        const began = performance.now();
        standardNormal(BigInt(repeat), 0n, count, 64);
        times.push(performance.now() - began);
      }
      return median(times);
    };
  }, threads);
  return page;
}

build();
const profile = mkdtempSync(join(tmpdir(), "cgan-browser-"));
const server = await serve(DIST, 0, "/", ISOLATED);
const context = await launch(WITHOUT_GPU, profile);
const python = native();
const address = `http://127.0.0.1:${server.address().port}/`;
const [one, two] = [await inBrowser(context, address, 1), await inBrowser(context, address, 2)];
const ways = {
  onnxruntime: python.time,
  "web, 1 thread": (count) => one.evaluate((size) => timeNetwork(size), count),
  "web, 2 threads": (count) => two.evaluate((size) => timeNetwork(size), count),
  "web's sampler": (count) => one.evaluate((size) => timeSampler(size), count),
};
console.log(["images", ...Object.keys(ways)].map((each) => each.padStart(16)).join(""));
for (const count of BATCHES) {
  const times = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, time] of Object.entries(ways)) times[name].push((await time(count)) / count);
  }
  const medians = Object.values(times).map((each) => each.sort((a, b) => a - b)[(ROUNDS - 1) / 2]);
  const row = [String(count), ...medians.map((each) => each.toFixed(2))];
  console.log(row.map((each) => each.padStart(16)).join(""));
}
python.end();
await context.close();
server.close();
await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
