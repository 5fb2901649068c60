/** A sheet of images, drawn in slices so short that the page never stalls. */
import { between, standardNormal } from "./noise.mjs";

const SLICE_MILLISECONDS = 8; // half of a frame
const LARGEST_SLICE = { wasm: 64, webgpu: 256 }; // images; more are no faster
const GROWTH = 32; // images whose noise is worked out at once

/** The noise of a seed's first images, kept: a walk needs it again at every step. */
export class SeedNoise {
  #noise = new Float32Array();

  constructor(seed, noiseDim) {
    this.seed = seed;
    this.noiseDim = noiseDim;
  }

  /** Return the noise of image number index. */
  of(index) {
    for (let done; index >= (done = this.#noise.length / this.noiseDim);) {
      const more = standardNormal(this.seed, BigInt(done), GROWTH, this.noiseDim);
      const grown = new Float32Array(this.#noise.length + more.length);
      grown.set(this.#noise);
      grown.set(more, this.#noise.length);
      this.#noise = grown;
    }
    return this.#noise.subarray(index * this.noiseDim, (index + 1) * this.noiseDim);
  }
}

/**
 * Draw image i of a seed with label i, for each label, or what lies between two seeds.
 *
 * @param {Generator} generator
 * @param {number[]} labels
 * @param {SeedNoise} from
 * @param {SeedNoise} to
 * @param {number} way - 0 is from, 1 is to
 * @yields {{first: number, images: Uint8Array, milliseconds: number}} index of the slice's first
 *     image, the images [n * height * width], and the time that noise and network took
 */
export async function* drawn(generator, labels, from, to, way) {
  const { noiseDim } = generator.info;
  for (let first = 0; first < labels.length;) {
    // A GPU computes beside the page, and costs most at the start: it gets all that it may.
    const fitting = Math.floor(SLICE_MILLISECONDS / generator.millisecondsPerImage);
    const largest = LARGEST_SLICE[generator.provider];
    const most = generator.provider === "webgpu" ? largest : Math.min(largest, fitting);
    const slice = labels.slice(first, first + Math.max(1, most));
    const began = performance.now();
    const noise = new Float32Array(slice.length * noiseDim);
    for (let each = 0; each < slice.length; each++) {
      const start = from.of(first + each);
      const image = way === 0 ? start : between(start, to.of(first + each), way);
      noise.set(image, each * noiseDim);
    }
    const images = await generator.draw(noise, slice);
    const milliseconds = performance.now() - began;
    generator.millisecondsPerImage = Math.max(0.01, milliseconds / slice.length);
    yield { first, images, milliseconds };
    first += slice.length;
    await pause();
  }
}

/** Let the browser paint and listen. */
function pause() {
  return globalThis.scheduler?.yield?.() ?? new Promise((resolve) => setTimeout(resolve));
}
