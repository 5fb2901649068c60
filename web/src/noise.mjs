/**
 * Noise that is the same everywhere: docs/contract.md states the rule, with test vectors.
 *
 * Philox4x64-10 (Salmon et al. 2011) is keyed with the seed, and image i owns a fixed block of
 * counters. BigInt is fast enough, about 10 µs an image (benchmarks/browser.mjs): less than the
 * network takes.
 */

export const SEEDS = 2n ** 64n; // seeds are 0n <= seed < SEEDS
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const INCREMENTS = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];
const ROUNDS = 10;
const LOW = 2n ** 64n - 1n;
const PER_COUNTER = 16; // numbers of 16 bits in the four words of a counter
const STEPS = 32; // the noise is a multiple of 1 / STEPS ...
const LARGEST = 127; // ... from -LARGEST / STEPS to LARGEST / STEPS

// Thresholds -127 .. -1 of docs/contract.md; threshold k and threshold -1 - k add up to 65,536.
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

/** Return, for k = -127 .. 126, how many of the 65,536 numbers of 16 bits give k or less. */
export function thresholds() {
  return [...LOWER_THRESHOLDS, ...LOWER_THRESHOLDS.map((each) => 2 ** 16 - each).reverse()];
}

/** What each number of 16 bits becomes: float32 [65536], ascending. */
const TABLE = new Float32Array(2 ** 16);
[0, ...thresholds()].forEach((bound, step) => TABLE.fill((step - LARGEST) / STEPS, bound));

/** Return the four 64-bit words that Philox4x64-10 makes of a counter below 2^128. */
export function philox(seed, counter) {
  let [a, b, c, d] = [counter & LOW, counter >> 64n, 0n, 0n];
  let [one, other] = [seed, 0n];
  for (let round = 0; round < ROUNDS; round++) {
    const left = MULTIPLIERS[0] * a;
    const right = MULTIPLIERS[1] * c;
    [a, b] = [(right >> 64n) ^ b ^ one, right & LOW];
    [c, d] = [(left >> 64n) ^ d ^ other, left & LOW];
    one = (one + INCREMENTS[0]) & LOW;
    other = (other + INCREMENTS[1]) & LOW;
  }
  return [a, b, c, d];
}

/**
 * Return the noise of images start, start + 1, ..., start + count - 1 of a seed.
 *
 * @param {bigint} seed - 0n <= seed < SEEDS
 * @param {bigint} start - index of the first image, 0n <= start < 2n ** 63n
 * @param {number} count - images
 * @param {number} noiseDim - numbers an image
 * @returns {Float32Array} [count * noiseDim]: multiples of 1/32 within +-127/32
 */
export function standardNormal(seed, start, count, noiseDim) {
  const block = Math.ceil(noiseDim / PER_COUNTER);
  const noise = new Float32Array(count * noiseDim);
  for (let image = 0; image < count; image++) {
    const first = (start + BigInt(image)) * BigInt(block) + 1n;
    for (let place = 0; place < noiseDim; place += PER_COUNTER) {
      const words = philox(seed, first + BigInt(place / PER_COUNTER));
      const numbers = new Uint16Array(new BigUint64Array(words).buffer); // lowest bits first
      const most = Math.min(PER_COUNTER, noiseDim - place);
      for (let each = 0; each < most; each++) {
        noise[image * noiseDim + place + each] = TABLE[numbers[each]];
      }
    }
  }
  return noise;
}

/**
 * Return noise on the way from one image to another, on the grid of 1/32 like theirs.
 *
 * Along the great circle, because a straight line would pass through noise that is shorter than
 * any that the network has learnt (White 2016, section 2.1).
 *
 * @param {Float32Array} from - [noiseDim]
 * @param {Float32Array} to - [noiseDim]
 * @param {number} way - 0 is from, 1 is to
 * @returns {Float32Array} [noiseDim]
 */
export function between(from, to, way) {
  const dot = (left, right) => left.reduce((sum, each, place) => sum + each * right[place], 0);
  const cosine = dot(from, to) / Math.sqrt(dot(from, from) * dot(to, to));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const [fromShare, toShare] =
    Math.sin(angle) > 1e-3
      ? [Math.sin((1 - way) * angle) / Math.sin(angle), Math.sin(way * angle) / Math.sin(angle)]
      : [1 - way, way]; // the same noise, or none
  return from.map((each, place) => {
    const step = Math.round((fromShare * each + toShare * to[place]) * STEPS);
    return Math.min(LARGEST, Math.max(-LARGEST, step)) / STEPS;
  });
}
