/** Texts of the page that describe the generated images. */
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

/** Return the provider, its error on the golden sample, and both providers' times if measured. */
export function provider({ provider: current, goldenErrors, milliseconds, passesGolden }) {
  const error = goldenErrors[current];
  let check = "matches the golden sample exactly";
  if (error > 0) check = `max pixel error ${error} on the golden sample`;
  if (!passesGolden) check += ": this device generates wrong images";
  const other = current === "wasm" ? "webgpu" : "wasm";
  const times =
    other in milliseconds
      ? `; golden sample in ${milliseconds[current].toFixed(1)} ms, ` +
        `with ${PROVIDERS[other]} in ${milliseconds[other].toFixed(1)} ms`
      : "";
  return `${PROVIDERS[current]}, ${check}${times}`;
}

/** Return the model's file name, size, precision and dataset. */
export function model({ bytes, source, info }) {
  const kilobytes = Math.round(bytes.length / 1000).toLocaleString("en");
  const texts = [source, `${kilobytes} kB`, info.precision, info.dataset];
  return texts.filter(Boolean).map(displayed).join(", ");
}

/**
 * Return the words of the cgan-run command that generates the same images.
 *
 * @param {{labels: number[], count: number, seed: bigint}} state
 * @param {object} info
 * @param {string | null} path - of the model; null is the shipped model
 * @returns {string[]} the program, then each option with its value
 */
export function command({ labels, count, seed }, info, path) {
  const parts = ["cgan-run"];
  if (path !== null) parts.push(`--model ${shellQuoted(path.replace(/^-/, "./-"))}`);
  if (hasDigitClasses(info)) {
    parts.push(`${labels.length > 1 ? "--digits" : "--digit"} ${namesOf(labels, info)}`);
  } else if (labels.length < info.classNames.length) {
    parts.push(...labels.map((label) => `--label ${shellQuoted(info.classNames[label])}`));
  } // without labels, cgan-run generates every class
  return [...parts, `--count ${count}`, `--seed ${seed}`];
}

/** Return the name that cgan-run gives a PNG file, such as digits-2026-seed-7.png. */
export function fileName({ labels, seed, to, position }, info) {
  const kind = labels.length > 1 ? "digits-" : "digit-";
  const names = labels.map((label) => info.classNames[label]);
  const joined = names
    .join(hasDigitClasses(info) ? "" : "-")
    .normalize("NFC")
    .toLowerCase();
  const words = trimDashes(joined.replace(/[^\p{L}\p{N}_]+/gu, "-"));
  const slug = trimDashes(firstOf(words, MAX_SLUG_LENGTH)) || "class";
  const interpolated = position ? `-to-${to}-${Math.round(position * 100)}` : "";
  return `${hasDigitClasses(info) ? kind : ""}${slug}-seed-${seed}${interpolated}.png`;
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
