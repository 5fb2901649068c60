/**
 * Compares inference in a browser, on one and two threads, with onnxruntime on the same machine.
 *
 *     CGAN_PYTHON=.venv/bin/python node benchmarks/browser.mjs    # after make test-web
 *
 * Times the shipped model without noise generation in interleaved rounds: onnxruntime on one thread,
 * and onnxruntime-web on one and on two threads. Prints the medians in microseconds per image, and
 * the time of the page's noise generation.
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
const ROUNDS = 61; // odd, as REPEATS, so that a median is a measured time
const REPEATS = 5; // runs per round and method; a round keeps their median
const NOISE_DIM = 64; // length of the shipped model's noise vector
const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** Python program that reads a batch size per line, and writes the median microseconds of its runs. */
const NATIVE = `
import statistics, sys, time
import numpy as np
from cgan_runtime.model_file.reading import SHIPPED_MODEL
from cgan_runtime.noise import standard_normal
from cgan_runtime.inference.session import open_session
session = open_session(SHIPPED_MODEL.read_bytes(), "digits.onnx", "cpu", 1).session
for line in sys.stdin:
    count = int(line)
    feeds = {"noise": standard_normal(1, 0, count, ${NOISE_DIM}), "label": np.arange(count) % 10}
    times = []
    for _ in range(${REPEATS}):
        start = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - start)
    print(statistics.median(times) * 1e6, flush=True)
`;

const median = (values) => [...values].sort((left, right) => left - right)[(values.length - 1) / 2];

/** Starts the Python program, and returns a function that times a batch size. */
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

/** Opens the model in a new page; its functions time REPEATS runs in milliseconds. */
async function openModel(context, address, threads) {
  const page = await context.newPage();
  await page.goto(address);
  const parameters = { numThreads: threads, repeats: REPEATS, noiseDim: NOISE_DIM };
  await page.evaluate(async ({ numThreads, repeats, noiseDim }) => {
    const { ONNXRUNTIME } = await import("./built.js");
    const { BUILDS, filesOf } = await import("./images/builds.js");
    const { standardNormal } = await import("./images/noise.js");
    const folder = new URL(`vendor/onnxruntime-web-${ONNXRUNTIME}/`, location.href);
    const [module, mjs, wasm] = filesOf(BUILDS.wasm).map((file) => new URL(file, folder).href);
    const ort = await import(module);
    Object.assign(ort.env.wasm, { numThreads, wasmPaths: { mjs, wasm } });
    const model = await (await fetch("digits.onnx")).arrayBuffer();
    const session = await ort.InferenceSession.create(new Uint8Array(model));
    globalThis.timeNetwork = async (count) => {
      const values = standardNormal(1n, 0n, count, noiseDim);
      const noise = new ort.Tensor("float32", values, [count, noiseDim]);
      const labels = BigInt64Array.from({ length: count }, (_, at) => BigInt(at % 10));
      const label = new ort.Tensor("int64", labels, [count]);
      const times = [];
      for (let repeat = 0; repeat < repeats; repeat++) {
        const start = performance.now();
        await session.run({ noise, label });
        times.push(performance.now() - start);
      }
      return times;
    };
    globalThis.timeNoise = (count) => {
      const times = [];
      for (let repeat = 0; repeat < repeats; repeat++) {
        const start = performance.now();
        standardNormal(BigInt(repeat), 0n, count, noiseDim);
        times.push(performance.now() - start);
      }
      return times;
    };
  }, parameters);
  return page;
}

/** Returns the median microseconds of a function of openModel(). */
async function timeInPage(page, name, count) {
  return median(await page.evaluate(([each, size]) => globalThis[each](size), [name, count])) * 1000;
}

build();
const profile = mkdtempSync(join(tmpdir(), "cgan-browser-"));
const server = await serve(DIST, 0, "/", ISOLATED);
const context = await launch(WITHOUT_GPU, profile);
const native = startNative();
const address = `http://127.0.0.1:${server.address().port}/`;
const [one, two] = [await openModel(context, address, 1), await openModel(context, address, 2)];
const methods = {
  onnxruntime: native.time,
  "web, 1 thread": (count) => timeInPage(one, "timeNetwork", count),
  "web, 2 threads": (count) => timeInPage(two, "timeNetwork", count),
  "web, noise": (count) => timeInPage(one, "timeNoise", count),
};
console.log(["images", ...Object.keys(methods)].map((each) => each.padStart(16)).join(""));
for (const count of BATCHES) {
  const times = Object.fromEntries(Object.keys(methods).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, time] of Object.entries(methods)) times[name].push((await time(count)) / count);
  }
  const row = [String(count), ...Object.values(times).map((each) => median(each).toFixed(2))];
  console.log(row.map((each) => each.padStart(16)).join(""));
}
native.end();
await context.close();
server.close();
await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
