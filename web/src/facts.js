/** Texts of the page that describe the generated images. */
import { FRAMES, walkEnd } from "./request.js";
import { CONTROLS, displayed, firstOf } from "./texts.js";

const PROVIDERS = { wasm: "WebAssembly", webgpu: "WebGPU" };
const MAX_SLUG_LENGTH = 20; // characters of a file name that are class names

/** Return whether the classes of a model are digits, so that a number can be typed. */
export function hasDigitClasses({ classNames }) {
  return classNames.every((name) => /^[0-9]$/.test(name));
}

/** Return labels as a number, such as 2026, or as a list of class names. */
export function namesOf(labels, info, separator = ", ") {
  const names = labels.map((label) => displayed(info.classNames[label]));
  return names.join(hasDigitClasses(info) ? "" : separator);
}

/** Return how long the images took. */
export function latency(images, milliseconds) {
  const time = milliseconds < 0.1 ? "under 0.1 ms" : `${milliseconds.toFixed(1)} ms`;
  if (images === 1) return `1 image in ${time}`;
  return `${images} images in ${time}, ${Math.round((milliseconds / images) * 1000)} µs each`;
}

/** Return whether this device reproduces the golden sample. */
export function selfTest({ provider: current, goldenErrors, passesGolden }) {
  const error = goldenErrors[current];
  if (!passesGolden) {
    return `Self-test failed: this device generates wrong images (max pixel error ${error})`;
  }
  return error > 0 ? `Self-test passed (max pixel error ${error})` : "Self-test passed";
}

/** Return the provider, and both providers' times if measured. */
export function provider({ provider: current, milliseconds }) {
  const other = current === "wasm" ? "webgpu" : "wasm";
  const times =
    other in milliseconds
      ? `; golden sample in ${milliseconds[current].toFixed(1)} ms, ` +
        `with ${PROVIDERS[other]} in ${milliseconds[other].toFixed(1)} ms`
      : "";
  return `${PROVIDERS[current]}${times}`;
}

/** Return the model's file name, size, precision and dataset. */
export function model({ bytes, source, info }) {
  const kilobytes = Math.round(bytes.length / 1000).toLocaleString("en");
  const texts = [source, `${kilobytes} kB`, info.precision, info.dataset];
  return texts.filter(Boolean).map(displayed).join(", ");
}

/** Return what the sheet shows, for visitors who do not see it. */
export function description(request, info) {
  const { labels, count, seed, sameNoise, frame } = request;
  const noise = sameNoise ? ", the same noise in each row" : "";
  const walk = frame ? `, frame ${frame + 1} of ${FRAMES} of the walk to ${walkEnd(request)}` : "";
  return `${namesOf(labels, info)}, ${count} of each, generated with seed ${seed}${noise}${walk}`;
}

/**
 * Return the words of the cgan-run command that generates the same images.
 *
 * @param {object} request - as newRequest() returns it
 * @param {boolean} isWalk - whether the command generates the whole walk as an animation
 * @param {object} info
 * @param {string | null} path - of the model; null is the shipped model
 * @returns {string[]} the program, then each option with its value
 */
export function command({ labels, count, ...request }, isWalk, info, path) {
  const parts = ["cgan-run"];
  if (path !== null) parts.push(`--model ${shellQuoted(path.replace(/^-/, "./-"))}`);
  if (hasDigitClasses(info)) {
    parts.push(`${labels.length > 1 ? "--digits" : "--digit"} ${namesOf(labels, info)}`);
  } else if (labels.length < info.classNames.length) {
    parts.push(...labels.map((label) => `--label ${shellQuoted(info.classNames[label])}`));
  } // without labels, cgan-run generates every class
  parts.push(`--count ${count}`);
  if (isWalk) parts.push(`--walk ${request.seed}:${walkEnd(request)}`, `--frames ${FRAMES}`);
  else parts.push(`--seed ${request.seed}`);
  return request.sameNoise && labels.length > 1 ? [...parts, "--same-noise"] : parts;
}

/** Return the name of a saved PNG, which begins as that of cgan-run: digits-2026-seed-7.png. */
export function fileName({ labels, sameNoise, frame, ...request }, info) {
  const kind = labels.length > 1 ? "digits-" : "digit-";
  const names = labels.map((label) => info.classNames[label]);
  const joined = names
    .join(hasDigitClasses(info) ? "" : "-")
    .normalize("NFC")
    .toLowerCase();
  const words = trimDashes(joined.replace(/[^\p{L}\p{N}_]+/gu, "-"));
  const slug = trimDashes(firstOf(words, MAX_SLUG_LENGTH)) || "class";
  const shared = sameNoise ? "same-noise-" : "";
  const { seed } = request;
  const noise = frame ? `walk-${seed}-${walkEnd(request)}-frame-${frame}` : `seed-${seed}`;
  return `${hasDigitClasses(info) ? kind : ""}${slug}-${shared}${noise}.png`;
}

function trimDashes(text) {
  return text.replace(/^-+|-+$/g, "");
}

/** Return a text as one shell word, on one line. */
function shellQuoted(text) {
  if (/^[\w.-]+$/.test(text)) return text;
  if (!text.match(CONTROLS)) return `'${text.replaceAll("'", "'\\''")}'`;
  const unicode = (each) => `\\u${each.codePointAt(0).toString(16).padStart(4, "0")}`;
  const quoted = text.replace(/[\\']/g, "\\$&").replace(CONTROLS, unicode);
  return `$'${quoted}'`; // the quotes of bash and zsh that allow escapes
}
