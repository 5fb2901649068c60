/** Generation of many images in slices that are short enough to keep the page responsive. */
import { interpolate, standardNormal } from "../images/noise.js";
import { FRAMES, walkEnd } from "./request.js";

const MAX_SLICE_MILLISECONDS = 8; // half of the time between two frames of a display
const MAX_SLICE_IMAGES = { wasm: 64, webgpu: 256 }; // larger slices are not faster
const CHUNK = 32; // number of images whose noise is computed at once

/** Noise of the first images of a seed. It is cached because interpolation reads it repeatedly. */
class SeedNoise {
  #noise = new Float32Array();

  constructor(seed, noiseDim) {
    this.seed = seed;
    this.noiseDim = noiseDim;
  }

  /** Return the noise of the image with this index. */
  of(index) {
    while (index >= this.#noise.length / this.noiseDim) {
      const count = this.#noise.length / this.noiseDim;
      const chunk = standardNormal(this.seed, BigInt(count), CHUNK, this.noiseDim);
      const extended = new Float32Array(this.#noise.length + chunk.length);
      extended.set(this.#noise);
      extended.set(chunk, this.#noise.length);
      this.#noise = extended;
    }
    return this.#noise.subarray(index * this.noiseDim, (index + 1) * this.noiseDim);
  }
}

let noises = []; // SeedNoise of both seeds of the last request

/** Return a function that maps the number of a cell to its noise, a Float32Array [noiseDim]. */
export function noiseOfCells({ sameNoise, labels, frame, ...request }, noiseDim) {
  noises = [request.seed, walkEnd(request)].map(
    (seed) =>
      noises.find((noise) => noise.seed === seed && noise.noiseDim === noiseDim) ??
      new SeedNoise(seed, noiseDim),
  );
  const [from, to] = noises;
  const imagesPerVector = sameNoise ? labels.length : 1;
  return (cell) => {
    const index = Math.floor(cell / imagesPerVector);
    if (frame === 0) return from.of(index);
    return interpolate(from.of(index), to.of(index), frame / (FRAMES - 1));
  };
}

/**
 * Generate one image per label, in slices.
 *
 * @param {Generator} generator
 * @param {number[]} labels
 * @param {(image: number) => Float32Array} noiseOf - returns the noise of an image, [noiseDim]
 * @yields {{first: number, images: Uint8Array, milliseconds: number}} index of the slice's first
 *     image, the images [n * channels * height * width], and the time that noise and network took
 */
export async function* generateSlices(generator, labels, noiseOf) {
  const { noiseDim } = generator.info;
  for (let first = 0; first < labels.length;) {
    // A GPU does not block the page, and each call has a fixed cost, so slices are full.
    const largest = Math.min(MAX_SLICE_IMAGES[generator.provider], generator.maxBatch);
    const inTime = Math.floor(MAX_SLICE_MILLISECONDS / generator.millisecondsPerImage);
    const size = generator.provider === "webgpu" ? largest : Math.min(largest, inTime);
    const slice = labels.slice(first, first + Math.max(1, size));
    const start = performance.now();
    const noise = new Float32Array(slice.length * noiseDim);
    for (let i = 0; i < slice.length; i++) noise.set(noiseOf(first + i), i * noiseDim);
    const images = await generator.generate(noise, slice);
    const milliseconds = performance.now() - start;
    generator.millisecondsPerImage = Math.max(0.01, milliseconds / slice.length);
    yield { first, images, milliseconds };
    first += slice.length;
    await yieldToBrowser();
  }
}

/** Let the browser paint and handle events. */
function yieldToBrowser() {
  return globalThis.scheduler?.yield?.() ?? new Promise((resolve) => setTimeout(resolve));
}
