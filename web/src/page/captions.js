/** Captions of the page, which describe the generated images. */
import { displayed } from "../model/escaping.js";
import { FRAMES, walkEnd } from "./request.js";

const PROVIDERS = { wasm: "WebAssembly", webgpu: "WebGPU" };

/** Return whether the classes of a model are digits, so that a number can be typed. */
export function hasDigitClasses({ classNames }) {
  return classNames.every((name) => /^[0-9]$/.test(name));
}

/** Return labels as a number, such as 2026, or as a list of class names. */
export function namesOf(labels, info, separator = ", ") {
  const names = labels.map((label) => displayed(info.classNames[label]));
  return names.join(hasDigitClasses(info) ? "" : separator);
}

/** Return the caption with the time that the images took. */
export function latency(images, milliseconds) {
  const time = milliseconds < 0.1 ? "under 0.1 ms" : `${milliseconds.toFixed(1)} ms`;
  if (images === 1) return `1 image in ${time}`;
  return `${images} images in ${time}, ${Math.round((milliseconds / images) * 1000)} µs each`;
}

/** Return the caption that says whether this device reproduces the golden sample. */
export function selfTest({ provider: current, goldenErrors, passesGolden }) {
  const error = goldenErrors[current];
  if (!passesGolden) {
    return `Self-test failed: this device generates wrong images (max pixel error ${error})`;
  }
  return error > 0 ? `Self-test passed (max pixel error ${error})` : "Self-test passed";
}

/** Return the name of the provider, and the times of both providers if they were measured. */
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
  const parts = [source, `${kilobytes} kB`, info.precision, info.dataset];
  return parts.filter(Boolean).map(displayed).join(", ");
}

/** Return a description of the sheet, for visitors who do not see it. */
export function description(request, info) {
  const { labels, count, seed, sameNoise, frame } = request;
  const noise = sameNoise ? ", the same noise in each row" : "";
  const walk = frame ? `, frame ${frame + 1} of ${FRAMES} of the walk to ${walkEnd(request)}` : "";
  return `${namesOf(labels, info)}, ${count} of each, generated with seed ${seed}${noise}${walk}`;
}
