/**
 * Sessions of onnxruntime-web, and honesty about where they run.
 *
 * Three builds of it are hosted. A browser fetches one: the small one where there is no WebGPU,
 * otherwise one that has both providers. JSPI makes that one smaller, where the browser has it.
 */
import { BUILDS, filesOf } from "./builds.mjs";
import { ONNXRUNTIME } from "./built.mjs"; // the version, written by build.mjs
import { IMAGE, LABEL, NOISE } from "./contract.mjs";
import { ModelError, PageError, ProviderError } from "./errors.mjs";

const FOLDER = new URL(`vendor/onnxruntime-web-${ONNXRUNTIME}/`, import.meta.url);
const LOADED = new Map();

const adapter = navigator.gpu?.requestAdapter().catch(() => null) ?? Promise.resolve(null);

/** Whether there is a GPU to compute on: a fallback adapter is the CPU under another name. */
export async function hasGpu() {
  const found = await adapter;
  return found !== null && !found.info?.isFallbackAdapter;
}

/**
 * Open a session on the provider asked for, and on no other.
 *
 * @param {Uint8Array} bytes - an ONNX file
 * @param {"wasm" | "webgpu"} provider
 * @param {string} source - the file's name, for messages
 * @returns {Promise<Session>}
 * @throws {ProviderError} the browser does not have it
 * @throws {ModelError} onnxruntime-web cannot open the file
 * @throws {PageError} onnxruntime-web does not start here
 */
export async function openSession(bytes, provider, source) {
  if (provider === "webgpu" && (await adapter) === null) {
    throw new ProviderError("this browser has no WebGPU here; choose WebAssembly");
  }
  const withGpu = "Suspending" in WebAssembly ? "jspi" : "asyncify";
  const ort = await load(provider === "webgpu" || (await hasGpu()) ? withGpu : "wasm");
  try {
    const options = { executionProviders: [provider], logSeverityLevel: 3 };
    const session = await inTurn(() => ort.InferenceSession.create(bytes, options));
    return new Session(ort, session);
  } catch (cause) {
    if (provider === "webgpu") {
      throw new ProviderError(
        `WebGPU does not open this model (${inOneLine(cause)}); choose WebAssembly`,
        { cause },
      );
    }
    if (/no available backend/.test(cause.message)) throw doesNotStart(cause);
    throw new ModelError(
      `${source} is damaged, or needs a newer onnxruntime than ${ONNXRUNTIME}; ` +
        "copy or export it again",
      { cause },
    );
  }
}

class Session {
  constructor(ort, session) {
    this.ort = ort;
    this.session = session;
    this.inputMetadata = session.inputMetadata;
    this.outputMetadata = session.outputMetadata;
  }

  /**
   * Draw one image a label.
   *
   * @param {Float32Array} noise - [labels * noiseDim]
   * @param {number[]} labels
   * @returns {Promise<Uint8Array>} [labels * height * width], 0 background .. 255 ink
   */
  run(noise, labels) {
    const { Tensor } = this.ort;
    const feeds = {
      [NOISE]: new Tensor("float32", noise, [labels.length, noise.length / labels.length]),
      [LABEL]: new Tensor("int64", BigInt64Array.from(labels, BigInt), [labels.length]),
    };
    return inTurn(async () => (await this.session.run(feeds))[IMAGE].data);
  }

  release() {
    return inTurn(() => this.session.release());
  }
}

function load(name) {
  if (!LOADED.has(name)) LOADED.set(name, importBuild(BUILDS[name]));
  return LOADED.get(name);
}

async function importBuild(build) {
  const [module, mjs, wasm] = filesOf(build).map((file) => new URL(file, FOLDER).href);
  let ort;
  try {
    ort = await import(module);
  } catch (cause) {
    throw doesNotStart(cause);
  }
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1; // a batch takes a millisecond: threads, and their headers, gain none
  ort.env.wasm.wasmPaths = { mjs, wasm };
  return ort;
}

function doesNotStart(cause) {
  return new PageError(
    `onnxruntime-web does not start here (${inOneLine(cause)}); check the connection and reload, ` +
      "or use a newer browser",
    { cause },
  );
}

function inOneLine(error) {
  return String(error.message ?? error)
    .replace(/\s+/g, " ")
    .slice(0, 160);
}

/** onnxruntime-web does one thing at a time: a second call into a suspended build would fail. */
let last = Promise.resolve();
function inTurn(work) {
  const result = last.then(work);
  last = result.catch(() => {});
  return result;
}
