/**
 * Sessions of onnxruntime-web, each on exactly one provider.
 *
 * The page hosts three builds of onnxruntime-web, and a browser fetches one of them. A browser
 * without a GPU gets a small build with WebAssembly only. Other browsers get a build with WebGPU
 * and WebAssembly; there are two of them, and the smaller one needs JSPI.
 */
import { ONNXRUNTIME } from "../built.js"; // version of onnxruntime-web, written by build.mjs
import { ModelError, PageError, ProviderError } from "../errors.js";
import { printable } from "../model/escaping.js";
import { CONTRACT } from "../model/tables.js";
import { BUILDS, filesOf } from "./builds.js";

const FOLDER = new URL(`../vendor/onnxruntime-web-${ONNXRUNTIME}/`, import.meta.url);
const loadedBuilds = new Map();

const adapter = navigator.gpu?.requestAdapter().catch(() => null) ?? Promise.resolve(null);

/** Return whether a GPU is available. A fallback adapter computes on the CPU and does not count. */
export async function hasGpu() {
  const gpu = await adapter;
  return gpu !== null && !gpu.info?.isFallbackAdapter;
}

/**
 * Open a session on the requested provider only.
 *
 * @param {Uint8Array} bytes - an ONNX file
 * @param {"wasm" | "webgpu"} provider
 * @param {string} source - the file's name, for messages
 * @returns {Promise<Session>}
 * @throws {ProviderError} the browser does not have the provider
 * @throws {ModelError} onnxruntime-web cannot open the file
 * @throws {PageError} onnxruntime-web cannot start in this browser
 */
export async function openSession(bytes, provider, source) {
  if (provider === "webgpu" && (await adapter) === null) {
    throw new ProviderError("WebGPU is not available in this browser; choose WebAssembly");
  }
  const gpuBuild = "Suspending" in WebAssembly ? "jspi" : "asyncify";
  const ort = await loadBuild(provider === "webgpu" || (await hasGpu()) ? gpuBuild : "wasm");
  try {
    const options = { executionProviders: [provider], logSeverityLevel: 3 };
    const session = await enqueue(() => ort.InferenceSession.create(bytes, options));
    return new Session(ort, session, source);
  } catch (cause) {
    if (provider === "webgpu") {
      const message = `WebGPU cannot open this model (${oneLine(cause)}); choose WebAssembly`;
      throw new ProviderError(message, { cause });
    }
    if (/no available backend/.test(cause.message)) throw startError(cause);
    throw new ModelError(
      `${printable(source)} cannot be opened (${oneLine(cause)}); ` +
        "use a newer version of the page, or export it again",
      { cause },
    );
  }
}

class Session {
  constructor(ort, session, source) {
    this.source = printable(source);
    this.ort = ort;
    this.session = session;
  }

  /**
   * Generate one image per label.
   *
   * @param {Float32Array} noise - [labels * noiseDim]
   * @param {number[]} labels
   * @returns {Promise<Tensor>} uint8 [labels, channels, height, width]
   * @throws {ModelError} onnxruntime-web cannot run the model
   */
  async run(noise, labels) {
    const { Tensor } = this.ort;
    const feeds = {
      [CONTRACT.noise]: new Tensor("float32", noise, [labels.length, noise.length / labels.length]),
      [CONTRACT.label]: new Tensor("int64", BigInt64Array.from(labels, BigInt), [labels.length]),
    };
    try {
      return await enqueue(async () => (await this.session.run(feeds))[CONTRACT.image]);
    } catch (cause) {
      throw new ModelError(
        `${this.source} can be opened, but not run (${oneLine(cause)}); export it again`,
        { cause },
      );
    }
  }

  release() {
    return enqueue(() => this.session.release());
  }
}

function loadBuild(name) {
  if (!loadedBuilds.has(name)) loadedBuilds.set(name, importBuild(BUILDS[name]));
  return loadedBuilds.get(name);
}

async function importBuild(build) {
  const [module, mjs, wasm] = filesOf(build).map((file) => new URL(file, FOLDER).href);
  let ort;
  try {
    ort = await import(module);
  } catch (cause) {
    throw startError(cause);
  }
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1; // more threads need cross-origin isolation and gain nothing
  ort.env.wasm.wasmPaths = { mjs, wasm };
  return ort;
}

function startError(cause) {
  return new PageError(
    `onnxruntime-web cannot start (${oneLine(cause)}); check the connection and reload the page, ` +
      "or use a newer browser",
    { cause },
  );
}

function oneLine(error) {
  return String(error.message ?? error)
    .replace(/\s+/g, " ")
    .slice(0, 160);
}

let lastCall = Promise.resolve(); // ends when the calls so far have ended

/** Run calls one after the other: a second call into a suspended build of onnxruntime-web fails. */
function enqueue(call) {
  const result = lastCall.then(call);
  lastCall = result.catch(() => {});
  return result;
}
