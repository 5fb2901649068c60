/** The cgan-run command of a sheet, and the file name of a saved sheet. */
import { CONTROLS, firstOf } from "../model/escaping.js";
import { hasDigitClasses, namesOf } from "./captions.js";
import { FRAMES, walkEnd } from "./request.js";

const MAX_NAMES_LENGTH = 20; // largest number of characters of the class names in a file name

/**
 * Return the words of the cgan-run command that generates the same images.
 *
 * @param {object} request - as newRequest() returns it
 * @param {boolean} isWalk - whether the command generates the whole walk as an animation
 * @param {object} info - metadata of the model
 * @param {string | null} path - path of the model; null means the shipped model
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

/** Return the file name of a saved PNG, such as digits-2026-seed-7.png. */
export function fileName({ labels, sameNoise, frame, ...request }, info) {
  const kind = labels.length > 1 ? "digits-" : "digit-";
  const names = labels.map((label) => info.classNames[label]);
  const joined = names
    .join(hasDigitClasses(info) ? "" : "-")
    .normalize("NFC")
    .toLowerCase();
  const words = trimDashes(joined.replace(/[^\p{L}\p{N}_]+/gu, "-"));
  const slug = trimDashes(firstOf(words, MAX_NAMES_LENGTH)) || "class";
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
  const unicode = (character) => `\\u${character.codePointAt(0).toString(16).padStart(4, "0")}`;
  const quoted = text.replace(/[\\']/g, "\\$&").replace(CONTROLS, unicode);
  return `$'${quoted}'`; // the quotes of bash and zsh that allow escapes
}
