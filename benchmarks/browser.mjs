/**
 * Inference in a browser, compared with onnxruntime on the same machine, and the effect of threads.
 *
 *     CGAN_PYTHON=.venv/bin/python node benchmarks/browser.mjs    # after make test-web
 *
 * Times the shipped model without noise generation in interleaved rounds: onnxruntime on one thread,
 * onnxruntime-web on one and on two. Prints medians in microseconds per image, and the time of the
 * page's noise generation.
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

/** Reads a batch size per line, and writes the median microseconds of five runs. */
const NATIVE = `
import sys, time
import numpy as np
from cgan_runtime.model_file.reading import SHIPPED_MODEL
from cgan_runtime.noise import standard_normal
from cgan_runtime.inference.session import open_session
session = open_session(SHIPPED_MODEL.read_bytes(), "digits.onnx", "cpu", 1)
for line in sys.stdin:
    count = int(line)
    feeds = {"noise": standard_normal(1, 0, count, 64), "label": np.arange(count) % 10}
    times = []
    for _ in range(5):
        start = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - start)
    print(sorted(times)[2] * 1e6, flush=True)
`;

function startNative() {
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

/** Opens the model in a new page with this number of threads. */
async function inBrowser(context, address, threads) {
  const page = await context.newPage();
  await page.goto(address);
  await page.evaluate(async (numThreads) => {
    const { ONNXRUNTIME } = await import("./built.js");
    const { BUILDS, filesOf } = await import("./images/builds.js");
    const { standardNormal } = await import("./images/noise.js");
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
        const start = performance.now();
        await session.run({ noise, label });
        times.push(performance.now() - start);
      }
      return median(times);
    };
    globalThis.timeNoise = (count) => {
      const times = [];
      for (let repeat = 0; repeat < 5; repeat++) {
        const start = performance.now();
        standardNormal(BigInt(repeat), 0n, count, 64);
        times.push(performance.now() - start);
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
const native = startNative();
const address = `http://127.0.0.1:${server.address().port}/`;
const [one, two] = [await inBrowser(context, address, 1), await inBrowser(context, address, 2)];
const methods = {
  onnxruntime: native.time,
  "web, 1 thread": (count) => one.evaluate((size) => timeNetwork(size), count),
  "web, 2 threads": (count) => two.evaluate((size) => timeNetwork(size), count),
  "web, noise": (count) => one.evaluate((size) => timeNoise(size), count),
};
console.log(["images", ...Object.keys(methods)].map((each) => each.padStart(16)).join(""));
for (const count of BATCHES) {
  const times = Object.fromEntries(Object.keys(methods).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, time] of Object.entries(methods)) times[name].push((await time(count)) / count);
  }
  const medians = Object.values(times).map((each) => each.sort((a, b) => a - b)[(ROUNDS - 1) / 2]);
  const row = [String(count), ...medians.map((each) => each.toFixed(2))];
  console.log(row.map((each) => each.padStart(16)).join(""));
}
native.end();
await context.close();
server.close();
await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
