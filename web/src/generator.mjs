/** Generator: noise and labels in, images out. */
import { readInfo, readMetadata } from "./contract.mjs";
import { ProviderError } from "./errors.mjs";
import { standardNormal } from "./noise.mjs";
import { hasGpu, openSession } from "./session.mjs";

export const TOLERANCE = 1; // grey levels that a sound device may be off the golden images
const REPEATS = 5;

export class Generator {
  /**
   * Open a model on WebAssembly, which every browser has.
   *
   * @param {Uint8Array} bytes - a file that cgan-export wrote
   * @param {string} source - its name, for messages
   * @returns {Promise<Generator>}
   * @throws {ModelError} it is damaged, foreign, or breaks the contract
   */
  static async open(bytes, source) {
    const metadata = readMetadata(bytes, source);
    const session = await openSession(bytes, "wasm", source);
    const info = await readInfo(metadata, session, source);
    const generator = new Generator(bytes, source, info, session);
    generator.golden.wasm = await generator.#goldenDifference("wasm");
    return generator;
  }

  #sessions;

  constructor(bytes, source, info, session) {
    this.bytes = bytes;
    this.source = source;
    this.info = info;
    this.provider = "wasm"; // that it draws with
    this.golden = {}; // by provider: the largest difference from the golden images, in grey levels
    this.milliseconds = {}; // by provider, where compared: to draw the golden images
    this.millisecondsPerImage = Infinity; // of the last slice drawn: how long the next may be
    this.#sessions = { wasm: session };
  }

  /** Whether what the provider draws is what the model promises. */
  get drawsRight() {
    return this.golden[this.provider] <= TOLERANCE;
  }

  /**
   * Draw one image a label.
   *
   * @param {Float32Array} noise - [labels * noiseDim]
   * @param {number[]} labels - at least one, each below the number of classes
   * @returns {Promise<Uint8Array>} [labels * height * width], 0 background .. 255 ink
   */
  draw(noise, labels) {
    return this.#sessions[this.provider].run(noise, labels);
  }

  /**
   * Draw with this provider from now on.
   *
   * @param {"wasm" | "webgpu"} provider
   * @throws {ProviderError} the browser does not have it, or it draws wrong; all stays as it was
   */
  async use(provider) {
    this.#sessions[provider] ??= await openSession(this.bytes, provider, this.source);
    this.golden[provider] ??= await this.#goldenDifference(provider);
    if (provider === "webgpu" && this.golden.webgpu > TOLERANCE) {
      throw new ProviderError(
        `WebGPU draws this model wrong here, by up to ${this.golden.webgpu} grey levels; ` +
          "choose WebAssembly",
      );
    }
    if (provider !== this.provider) this.millisecondsPerImage = Infinity;
    this.provider = provider;
  }

  /** Draw with the faster of the providers that are there and draw right. */
  async useFastest() {
    if (await hasGpu()) {
      try {
        await this.use("webgpu");
        for (const provider of ["webgpu", "wasm"]) {
          this.milliseconds[provider] ??= await this.#time(provider);
        }
        if (this.milliseconds.webgpu <= this.milliseconds.wasm) return;
      } catch (error) {
        console.warn(error); // it is there and does not work: as if it were not
      }
    }
    await this.use("wasm");
  }

  /** Let go of its sessions. */
  async close() {
    for (const session of Object.values(this.#sessions)) await session.release();
  }

  #drawGolden(provider) {
    const { seed, labels } = this.info.golden;
    const noise = standardNormal(seed, 0n, labels.length, this.info.noiseDim);
    return this.#sessions[provider].run(noise, labels);
  }

  async #goldenDifference(provider) {
    const drawn = await this.#drawGolden(provider);
    const { images } = this.info.golden;
    return drawn.reduce((most, each, at) => Math.max(most, Math.abs(each - images[at])), 0);
  }

  /** Return the median of some repeats, after goldenDifference has warmed it up. */
  async #time(provider) {
    const times = [];
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      const began = performance.now();
      await this.#drawGolden(provider);
      times.push(performance.now() - began);
    }
    return times.sort((left, right) => left - right)[(REPEATS - 1) / 2];
  }
}
