/**
 * The noise of a seed, which is equal on every platform. docs/contract.md specifies the algorithm,
 * with test vectors.
 *
 * The seed is the key of Philox4x64-10 (Salmon et al. 2011), and image i owns a fixed block of
 * counters. BigInt takes about 10 µs per image, less than the network (benchmarks/browser.js).
 */

export const SEEDS = 2n ** 64n; // seeds are 0n <= seed < SEEDS
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const INCREMENTS = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn]; // added to the keys in each round
const ROUNDS = 10;
const LOW = 2n ** 64n - 1n; // mask of the low 64 bits
const NUMBERS_PER_COUNTER = 16; // number of 16-bit numbers in the four words of a counter
const STEPS_PER_UNIT = 32; // noise values are multiples of 1 / STEPS_PER_UNIT
const MAX_NOISE_STEP = 127; // the largest noise value is MAX_NOISE_STEP / STEPS_PER_UNIT
const MIN_SINE = 1e-3; // at most this sine, interpolate() treats two vectors as parallel
// Adding and subtracting this number rounds to an integer, half to even, as np.rint() does.
const ROUNDER = 1.5 * 2 ** 52;

// Thresholds -127 .. -1, as JavaScript has no erfc(). Thresholds k and -1 - k add up to 65,536.
const LOWER_THRESHOLDS = [
  3, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 11, 13, 14, 16, 18, 20, 23, 26, 29, 32, 36, 40, 45, 50, 55,
  61, 68, 76, 84, 93, 103, 114, 126, 139, 153, 169, 186, 205, 225, 247, 271, 297, 326, 356, 389,
  425, 464, 506, 551, 600, 652, 709, 769, 834, 904, 979, 1059, 1144, 1235, 1333, 1437, 1547, 1665,
  1790, 1923, 2064, 2213, 2371, 2538, 2715, 2901, 3098, 3305, 3524, 3753, 3994, 4247, 4512, 4790,
  5081, 5385, 5703, 6034, 6379, 6739, 7113, 7502, 7905, 8324, 8758, 9207, 9672, 10152, 10647, 11158,
  11685, 12227, 12784, 13356, 13944, 14546, 15162, 15793, 16439, 17097, 17769, 18454, 19152, 19861,
  20582, 21314, 22057, 22809, 23570, 24341, 25119, 25904, 26696, 27494, 28296, 29103, 29914, 30727,
  31543, 32359,
];

/** Return, for k = -127 .. 126, how many of the 65,536 16-bit numbers map to at most k / 32. */
export function thresholds() {
  return [...LOWER_THRESHOLDS, ...LOWER_THRESHOLDS.map((count) => 2 ** 16 - count).reverse()];
}

/** The noise value of each 16-bit number: float32 [65536], ascending. */
const TABLE = new Float32Array(2 ** 16);
[0, ...thresholds()].forEach((bound, step) =>
  TABLE.fill((step - MAX_NOISE_STEP) / STEPS_PER_UNIT, bound),
);

/** Return the four 64-bit words of Philox4x64-10 for a counter below 2^128. */
export function philox(seed, counter) {
  let [a, b, c, d] = [counter & LOW, counter >> 64n, 0n, 0n];
  let [key0, key1] = [seed, 0n];
  for (let round = 0; round < ROUNDS; round++) {
    const left = MULTIPLIERS[0] * a;
    const right = MULTIPLIERS[1] * c;
    [a, b] = [(right >> 64n) ^ b ^ key0, right & LOW];
    [c, d] = [(left >> 64n) ^ d ^ key1, left & LOW];
    key0 = (key0 + INCREMENTS[0]) & LOW;
    key1 = (key1 + INCREMENTS[1]) & LOW;
  }
  return [a, b, c, d];
}

/**
 * Return the noise of images start, start + 1, ..., start + count - 1 of a seed.
 *
 * @param {bigint} seed - 0n <= seed < SEEDS
 * @param {bigint} start - index of the first image, 0n <= start < 2n ** 63n
 * @param {number} count - number of images
 * @param {number} noiseDim - values per image
 * @returns {Float32Array} [count * noiseDim], multiples of 1/32 from -127/32 to 127/32
 */
export function standardNormal(seed, start, count, noiseDim) {
  const block = Math.ceil(noiseDim / NUMBERS_PER_COUNTER);
  const noise = new Float32Array(count * noiseDim);
  for (let image = 0; image < count; image++) {
    const first = (start + BigInt(image)) * BigInt(block) + 1n;
    for (let offset = 0; offset < noiseDim; offset += NUMBERS_PER_COUNTER) {
      const words = philox(seed, first + BigInt(offset / NUMBERS_PER_COUNTER));
      const numbers = new Uint16Array(new BigUint64Array(words).buffer); // lowest bits first
      const size = Math.min(NUMBERS_PER_COUNTER, noiseDim - offset);
      for (let i = 0; i < size; i++) {
        noise[image * noiseDim + offset + i] = TABLE[numbers[i]];
      }
    }
  }
  return noise;
}

/**
 * Interpolate between the noise of two images and round to multiples of 1/32, as interpolate() of
 * cgan_runtime/noise.py does.
 *
 * The interpolation is spherical (White 2016, section 2.1): a straight line would pass through
 * noise vectors that are shorter than those that the network was trained on.
 *
 * @param {Float32Array} from - [noiseDim]
 * @param {Float32Array} to - [noiseDim]
 * @param {number} position - 0 is from, 1 is to
 * @returns {Float32Array} [noiseDim]
 */
export function interpolate(from, to, position) {
  const dot = (left, right) => left.reduce((sum, value, i) => sum + value * right[i], 0);
  const cosine = dot(from, to) / Math.sqrt(dot(from, from) * dot(to, to));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  const [fromWeight, toWeight] =
    sine > MIN_SINE
      ? [Math.sin((1 - position) * angle) / sine, Math.sin(position * angle) / sine]
      : [1 - position, position]; // the vectors are parallel, or one is zero and sine is NaN
  return from.map((value, i) => {
    const step = (fromWeight * value + toWeight * to[i]) * STEPS_PER_UNIT + ROUNDER - ROUNDER;
    return Math.min(MAX_NOISE_STEP, Math.max(-MAX_NOISE_STEP, step)) / STEPS_PER_UNIT;
  });
}
