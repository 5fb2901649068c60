/** What the page says of a drawing, in words. */

const PROVIDERS = { wasm: "WebAssembly", webgpu: "WebGPU" };
const LONGEST_SLUG = 20; // characters of a file's name that say what it shows

/** Whether a model draws digits, so that a number can be typed. */
export function drawsDigits({ classNames }) {
  return classNames.every((name) => /^[0-9]$/.test(name));
}

/** Return labels as a number, such as 2026, or as class names in a row. */
export function namesOf(labels, info, between = ", ") {
  const names = labels.map((label) => info.classNames[label]);
  return names.join(drawsDigits(info) ? "" : between);
}

export function latency(images, milliseconds) {
  const time = milliseconds < 0.1 ? "under 0.1 ms" : `${milliseconds.toFixed(1)} ms`;
  if (images === 1) return `1 image in ${time}`;
  return `${images} images in ${time}, ${Math.round((milliseconds / images) * 1000)} µs each`;
}

/** Return where a generator draws, how right, and what the other provider would have taken. */
export function provider({ provider: mine, golden, milliseconds, drawsRight }) {
  const off = golden[mine];
  const levels = `up to ${off} grey level${off > 1 ? "s" : ""} off the model's own sample`;
  let proof = "the model's own sample comes out exactly";
  if (off > 0) proof = drawsRight ? levels : `${levels}: this device draws it wrong`;
  const other = mine === "wasm" ? "webgpu" : "wasm";
  const beside =
    other in milliseconds
      ? `; that takes ${milliseconds[mine].toFixed(1)} ms, ` +
        `on ${PROVIDERS[other]} ${milliseconds[other].toFixed(1)} ms`
      : "";
  return `${PROVIDERS[mine]}, ${proof}${beside}`;
}

export function model({ bytes, source, info }) {
  const kilobytes = Math.round(bytes.length / 1000).toLocaleString("en");
  return `${source}, ${kilobytes} kB, ${info.precision}, ${info.dataset}`;
}

/**
 * Return the parts of the command that draws the same, each an option with its value.
 *
 * @param {{labels: number[], count: number, seed: bigint}} state
 * @param {object} info
 * @param {string | null} path - of the model; null is the one that ships
 * @returns {string[]}
 */
export function command({ labels, count, seed }, info, path) {
  const parts = ["cgan-run"];
  if (path !== null) parts.push(`--model ${quoted(path)}`);
  if (drawsDigits(info)) {
    parts.push(`${labels.length > 1 ? "--digits" : "--digit"} ${namesOf(labels, info)}`);
  } else if (labels.length < info.classNames.length) {
    parts.push(...labels.map((label) => `--label ${quoted(info.classNames[label])}`));
  } // otherwise one of each, which it draws where none is named
  return [...parts, `--count ${count}`, `--seed ${seed}`];
}

/** Return the name of a PNG, such as cgan-run gives it: digits-2026-seed-7.png. */
export function fileName({ labels, seed, to, way }, info) {
  const kind = labels.length > 1 ? "digits-" : "digit-";
  const slug = namesOf(labels, info, "-")
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .slice(0, LONGEST_SLUG);
  const walked = way ? `-to-${to}-${Math.round(way * 100)}` : "";
  return `${drawsDigits(info) ? kind : ""}${slug}-seed-${seed}${walked}.png`;
}

/** Return a text as a shell takes it for one word. */
function quoted(text) {
  return /^[\w.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
