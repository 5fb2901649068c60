/** The generator, which turns noise and labels into images. */
import { ModelError, ProviderError } from "../errors.js";
import { readInfo } from "../model/contract.js";
import { printable } from "../model/escaping.js";
import { validateModel } from "../model/validation/graph_validation.js";
import { standardNormal } from "./noise.js";
import { hasGpu, openSession } from "./session.js";

// Pixel errors that a correct device may have on the golden sample. A value of an int8 model that
// is not bit-exact may round to the next quantization step.
const MAX_PIXEL_ERROR = 1;
const MAX_INT8_ERROR = 8;
const REPEATS = 5; // number of measurements of a provider; the median counts
const GOLDEN_SLICE = 16; // number of images in the first slice, and in every slice of a slow model
const MAX_GOLDEN_SLICE = 64;
const SLOW_MILLISECONDS = 100; // a model is slow if a slice takes at least this time
const MAX_GOLDEN_MILLISECONDS = 5000; // a hostile golden sample could take hours

export class Generator {
  /**
   * Open a model with WebAssembly, which every browser has.
   *
   * @param {Uint8Array} bytes - a file that cgan-export wrote
   * @param {string} source - its name, for messages
   * @returns {Promise<Generator>}
   * @throws {ModelError} the file is damaged, is not a cgan model, or breaks the contract
   */
  static async open(bytes, source) {
    const model = await validateModel(bytes, source);
    const info = await readInfo(model, source);
    const session = await openSession(bytes, "wasm", source);
    const generator = new Generator(bytes, source, info, session, model.maxBatch);
    generator.goldenErrors.wasm = await generator.#measureGoldenError("wasm");
    return generator;
  }

  #sessions;

  constructor(bytes, source, info, session, maxBatch) {
    this.bytes = bytes;
    this.source = source;
    this.info = info;
    this.maxBatch = maxBatch; // largest number of images of one run
    this.provider = "wasm"; // the current provider
    this.goldenErrors = {}; // by provider: max pixel error on the golden sample
    this.milliseconds = {}; // by provider, once measured: time of the golden sample
    this.millisecondsPerImage = Infinity; // of the last slice; limits the size of the next one
    this.#sessions = { wasm: session };
  }

  /** Whether the current provider reproduces the golden sample within the tolerance. */
  get passesGolden() {
    return this.goldenErrors[this.provider] <= this.#maxError;
  }

  get #maxError() {
    const { precision, bitExact } = this.info;
    return precision === "int8" && !bitExact ? MAX_INT8_ERROR : MAX_PIXEL_ERROR;
  }

  /**
   * Generate one image per label.
   *
   * @param {Float32Array} noise - [labels * noiseDim]
   * @param {number[]} labels - at least one, each below the number of classes
   * @returns {Promise<Uint8Array>} [labels * channels * height * width], 0 to 255
   */
  generate(noise, labels) {
    return this.#run(this.provider, noise, labels);
  }

  /**
   * Switch to a provider.
   *
   * @param {"wasm" | "webgpu"} provider
   * @throws {ProviderError} the browser lacks it, or it generates wrong images; then the current
   *     provider stays
   */
  async useProvider(provider) {
    this.#sessions[provider] ??= await openSession(this.bytes, provider, this.source);
    this.goldenErrors[provider] ??= await this.#measureGoldenError(provider);
    if (provider === "webgpu" && this.goldenErrors.webgpu > this.#maxError) {
      throw new ProviderError(
        "WebGPU generates wrong images with this model " +
          `(max pixel error ${this.goldenErrors.webgpu}); choose WebAssembly`,
      );
    }
    if (provider !== this.provider) this.millisecondsPerImage = Infinity;
    this.provider = provider;
  }

  /** Switch to the fastest available provider that reproduces the golden sample. */
  async useFastestProvider() {
    if (await hasGpu()) {
      try {
        await this.useProvider("webgpu");
        for (const provider of ["webgpu", "wasm"]) {
          this.milliseconds[provider] ??= await this.#measureTime(provider);
        }
        if (this.milliseconds.webgpu <= this.milliseconds.wasm) return;
      } catch (error) {
        console.warn(error); // a WebGPU that fails is treated as missing
      }
    }
    await this.useProvider("wasm");
  }

  /** Return the pixels of one image per label, and check the type and shape of the output. */
  async #run(provider, noise, labels) {
    const { type, dims, data } = await this.#sessions[provider].run(noise, labels);
    const { channels, height, width } = this.info;
    const expected = [labels.length, channels, height, width];
    if (type !== "uint8" || String(dims) !== String(expected)) {
      throw new ModelError(
        `${printable(this.source)} returned ${type} [${dims.join(", ")}] for ${labels.length} ` +
          `labels instead of uint8 [${expected.join(", ")}]; export it again`,
      );
    }
    return data;
  }

  /** Release the sessions. */
  async close() {
    for (const session of Object.values(this.#sessions)) await session.release();
  }

  /**
   * Generate the golden sample in slices; yield the position of the first pixel, and the pixels.
   * Stop after MAX_GOLDEN_MILLISECONDS.
   */
  async *#generateGolden(provider) {
    const { golden, noiseDim } = this.info;
    const size = golden.images.length / golden.labels.length; // bytes of an image
    const begin = performance.now();
    let [first, sliceSize] = [0, Math.min(GOLDEN_SLICE, this.maxBatch)];
    while (first < golden.labels.length && performance.now() - begin < MAX_GOLDEN_MILLISECONDS) {
      const slice = golden.labels.slice(first, first + sliceSize);
      const start = performance.now();
      const noise = standardNormal(golden.seed, BigInt(first), slice.length, noiseDim);
      const pixels = await this.#run(provider, noise, slice);
      const isFast = performance.now() - start < SLOW_MILLISECONDS;
      if (isFast) sliceSize = Math.min(MAX_GOLDEN_SLICE, this.maxBatch);
      yield { start: first * size, pixels };
      first += slice.length;
    }
  }

  async #measureGoldenError(provider) {
    const { images } = this.info.golden;
    let max = 0;
    for await (const { start, pixels } of this.#generateGolden(provider)) {
      for (let i = 0; i < pixels.length; i++) {
        max = Math.max(max, Math.abs(pixels[i] - images[start + i]));
      }
    }
    return max;
  }

  /** Return the median time of the golden sample; #measureGoldenError() was the warm-up. */
  async #measureTime(provider) {
    const times = [];
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      const start = performance.now();
      for await (const _ of this.#generateGolden(provider));
      times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b)[(REPEATS - 1) / 2];
  }
}
