/** What the visitor requests, as fields and links state it. Every text of a link is untrusted. */
import { InputError } from "./errors.js";
import { SEEDS } from "./noise.js";

export const FRAMES = 48; // of the walk between two seeds
const MAX_IMAGES = 1000; // of a sheet, and classes of a model that are listed
// Browsers do not draw larger canvases, and a model's images may be large.
const MAX_SHEET_PIXELS = 2 ** 22;
const MAX_NUMBER_LENGTH = 20; // digits
const MAX_LINK_LENGTH = 1000; // characters
const USUAL_COUNT = 10;

/**
 * Return the request of a first visit: every class.
 *
 * @param {object} info - of the model
 * @returns {{labels: number[], count: number, seed: bigint, sameNoise: boolean, to: bigint | null,
 *     frame: number}} count is the number of images of each label; with sameNoise, the images of a
 *     row have the same noise; to is the seed at the end of the walk, and null the one after seed
 */
export function newRequest(info) {
  const unbounded = { count: USUAL_COUNT, seed: 1n, sameNoise: false, to: null, frame: 0 };
  return withLabels(unbounded, allLabels(info), info);
}

/** Return a request with other labels, and with its count reduced to what fits on a sheet. */
export function withLabels(request, labels, info) {
  return { ...request, labels, count: Math.min(request.count, maxCount(labels, info)) };
}

/** Return the labels of every class that fits on a sheet. */
export function allLabels(info) {
  return [...info.classNames.keys()].slice(0, maxImages(info));
}

/** Return the names of the classes that are listed. */
export function listedNames({ classNames }) {
  return classNames.slice(0, MAX_IMAGES);
}

/** Return the seed at the end of the walk. */
export function walkEnd({ seed, to }) {
  return to ?? (seed + 1n) % SEEDS;
}

/** Return the number of columns of the sheet: one per label, or a square of a single one. */
export function columnsOf({ labels, count }) {
  return labels.length > 1 ? labels.length : Math.ceil(Math.sqrt(count));
}

function maxImages({ height, width }) {
  return Math.max(1, Math.min(MAX_IMAGES, Math.floor(MAX_SHEET_PIXELS / (height * width))));
}

/** Return how many images of each of these labels fit on a sheet. */
function maxCount(labels, info) {
  return Math.max(1, Math.floor(maxImages(info) / labels.length));
}

/** Return the labels of a number's digits; an empty text stands for every class. */
export function parseNumber(text, info) {
  if (!text) return allLabels(info);
  return [...text.slice(0, MAX_NUMBER_LENGTH)].map((digit) => {
    const label = info.classNames.indexOf(digit);
    if (label < 0) throw new InputError(`"${digit}" is not a digit; type a number such as 2026`);
    return label;
  });
}

export function parseSeed(text) {
  if (!/^[0-9]{1,20}$/.test(text) || BigInt(text) >= SEEDS) {
    throw new InputError(
      `the seed must be a whole number from 0 to 2^64 - 1, got "${text}"; type another seed`,
    );
  }
  return BigInt(text);
}

export function parseCount(text, labels, info) {
  const [count, largest] = [Number(text), maxCount(labels, info)];
  if (!/^[0-9]{1,9}$/.test(text) || count < 1 || count > largest) {
    throw new InputError(
      `a sheet holds at most ${maxImages(info)} images; choose a count from 1 to ${largest}`,
    );
  }
  return count;
}

function parseFrame(text) {
  if (!/^[0-9]{1,2}$/.test(text) || Number(text) >= FRAMES) {
    throw new InputError(`the frame must be a whole number from 0 to ${FRAMES - 1}`);
  }
  return Number(text);
}

/** Return the part of a link to the shipped model after its #; readLink restores the request. */
export function writeLink(request, info) {
  const { labels, count, seed, sameNoise, to, frame } = request;
  const digits = labels.map((label) => info.classNames[label]).join("");
  const parts = new URLSearchParams({ digits, count, seed });
  if (sameNoise) parts.set("noise", "same");
  if (to !== null || frame) parts.set("to", walkEnd(request));
  if (frame) parts.set("frame", frame);
  return String(parts);
}

/** Return the request of a link; what is missing or invalid is that of a first visit. */
export function readLink(link, info) {
  let request = newRequest(info);
  const parts = new URLSearchParams(link.slice(0, MAX_LINK_LENGTH));
  const parsers = {
    digits: (text) => withLabels(request, parseNumber(text, info), info),
    count: (text) => ({ count: parseCount(text, request.labels, info) }),
    seed: (text) => ({ seed: parseSeed(text) }),
    noise: (text) => ({ sameNoise: text === "same" }),
    to: (text) => ({ to: parseSeed(text) }),
    frame: (text) => ({ frame: parseFrame(text) }),
  };
  for (const [key, parse] of Object.entries(parsers)) {
    try {
      if (parts.has(key)) request = { ...request, ...parse(parts.get(key)) };
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
  }
  return request;
}
