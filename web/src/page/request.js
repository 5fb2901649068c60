/** The request of a visitor, read from fields and links. The text of a link is untrusted. */
import { InputError } from "../errors.js";
import { SEEDS } from "../images/noise.js";

export const FRAMES = 48; // number of frames of the walk between two seeds
const MAX_SHEET_IMAGES = 1000; // largest number of images on a sheet
const MAX_LISTED_CLASSES = 1000; // largest number of classes that the page lists
const MAX_SHEET_PIXELS = 2 ** 22; // limit for several images; Safari's canvas has at most 2 ** 24
const MAX_NUMBER_LENGTH = 20; // largest number of digits in the field "Number"
const MAX_LINK_LENGTH = 1000; // largest number of characters of a link that are read
const DEFAULT_COUNT = 10;

/**
 * Return the request of a first visit: every class.
 *
 * @param {object} info - metadata of the model
 * @returns {{labels: number[], count: number, seed: bigint, sameNoise: boolean,
 *     endSeed: bigint | null, frame: number}}
 *     count: images per label
 *     sameNoise: whether the images of a row share their noise
 *     endSeed: seed at the end of the walk; null means seed + 1
 *     frame: 0 to FRAMES - 1
 */
export function newRequest(info) {
  const unbounded = { count: DEFAULT_COUNT, seed: 1n, sameNoise: false, endSeed: null, frame: 0 };
  return withLabels(unbounded, allLabels(info), info);
}

/** Return the request with these labels, and with its count reduced to what fits on a sheet. */
export function withLabels(request, labels, info) {
  return { ...request, labels, count: Math.min(request.count, maxCount(labels, info)) };
}

/** Return the labels of every class that fits on a sheet. */
export function allLabels(info) {
  return [...info.classNames.keys()].slice(0, maxImages(info));
}

/** Return the names of the classes that are listed. */
export function listedNames({ classNames }) {
  return classNames.slice(0, MAX_LISTED_CLASSES);
}

/** Return the seed at the end of the walk. */
export function walkEnd({ seed, endSeed }) {
  return endSeed ?? (seed + 1n) % SEEDS;
}

/** Return the number of columns of the sheet: one per label. A single label fills a square. */
export function columnsOf({ labels, count }) {
  return labels.length > 1 ? labels.length : Math.ceil(Math.sqrt(count));
}

function maxImages({ height, width }) {
  return Math.max(1, Math.min(MAX_SHEET_IMAGES, Math.floor(MAX_SHEET_PIXELS / (height * width))));
}

/** Return how many images of each of these labels fit on a sheet. */
function maxCount(labels, info) {
  return Math.max(1, Math.floor(maxImages(info) / labels.length));
}

/** Return the labels of the digits of a number; an empty text stands for every class. */
export function parseNumber(text, info) {
  if (!text) return allLabels(info);
  return [...text.slice(0, MAX_NUMBER_LENGTH)].map((digit) => {
    const label = info.classNames.indexOf(digit);
    if (label < 0) throw new InputError(`"${digit}" is not a digit; type a number such as 2026`);
    return label;
  });
}

/** Return the seed that a text states. */
export function parseSeed(text) {
  if (!/^[0-9]{1,20}$/.test(text) || BigInt(text) >= SEEDS) {
    throw new InputError(
      `the seed must be a whole number from 0 to 2^64 - 1, got "${text}"; type another seed`,
    );
  }
  return BigInt(text);
}

/** Return the number of images per label that a text states. */
export function parseCount(text, labels, info) {
  const [count, largest] = [Number(text), maxCount(labels, info)];
  if (!/^[0-9]{1,9}$/.test(text) || count < 1 || count > largest) {
    throw new InputError(
      `the count must be a whole number from 1 to ${largest}, got "${text}"; type another count`,
    );
  }
  return count;
}

/** Return the frame of a link, or 0 if it is invalid. */
function parseFrame(text) {
  return /^[0-9]{1,2}$/.test(text) && Number(text) < FRAMES ? Number(text) : 0;
}

/** Return the part of a link after its #, for the shipped model. readLink() is the inverse. */
export function writeLink(request, info) {
  const { labels, count, seed, sameNoise, endSeed, frame } = request;
  const digits = labels.map((label) => info.classNames[label]).join("");
  const parts = new URLSearchParams({ digits, count, seed });
  if (sameNoise) parts.set("noise", "same");
  if (endSeed !== null || frame) parts.set("to", walkEnd(request));
  if (frame) parts.set("frame", frame);
  return String(parts);
}

/** Return the request of a link. Missing and invalid parts get the values of newRequest(). */
export function readLink(link, info) {
  let request = newRequest(info);
  const parts = new URLSearchParams(link.slice(0, MAX_LINK_LENGTH));
  const parsers = {
    digits: (text) => withLabels(request, parseNumber(text, info), info),
    count: (text) => ({ count: parseCount(text, request.labels, info) }),
    seed: (text) => ({ seed: parseSeed(text) }),
    noise: (text) => ({ sameNoise: text === "same" }),
    to: (text) => ({ endSeed: parseSeed(text) }),
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
