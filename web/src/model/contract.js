/**
 * The model contract, which docs/contract.md specifies. A port of read_info() of
 * cgan_runtime/model_file/contract.py; change both.
 */
import { firstOf, printable, quoted } from "./escaping.js";
import { parseJson } from "./json.js";
import { errorMessage, grouped, modelError } from "./messages.js";
import { CONTRACT, LIMITS } from "./tables.js";

/** The metadata breaks the contract; error.message says how. */
class MetadataError extends Error {}

function reject(name, values) {
  throw new MetadataError(errorMessage(name, values));
}

/** Throw a ModelError unless a model's metadata states the supported contract version. */
export function checkVersion(metadata, source) {
  const version = metadata.get(CONTRACT.contractKey);
  if (version === undefined) throw modelError("no contract", { source, key: CONTRACT.contractKey });
  if (!/^(?:0|[1-9][0-9]{0,8})$/.test(version)) {
    throw modelError("malformed version", { source, version: quoted(version) });
  }
  const supported = CONTRACT.version;
  if (Number(version) === supported) return;
  const name = Number(version) > supported ? "newer contract" : "older contract";
  throw modelError(name, { source, version, supported });
}

/**
 * Return a model's metadata.
 *
 * @param {{metadata: Map<string, string>, inputs: object[], outputs: object[]}} file - from
 *     validateModel
 * @param {string} source - the file's name, for messages
 * @returns {Promise<{classNames: string[], noiseDim: number, channels: number, height: number,
 *     width: number, dataset: string, precision: string, bitExact: boolean,
 *     golden: {seed: bigint, labels: number[], images: Uint8Array}}>} height and width in pixels;
 *     the golden images have shape [labels, channels, height, width]
 * @throws {ModelError} the metadata or a tensor breaks the contract
 */
export async function readInfo({ metadata, inputs, outputs }, source) {
  let info;
  try {
    info = await readMetadata(metadata, outputs);
  } catch (error) {
    if (!(error instanceof MetadataError)) throw error;
    throw modelError("malformed metadata", { source, reason: error.message });
  }
  const { noise, label, image, batch } = CONTRACT;
  const expectedInputs = [
    { name: noise, type: "tensor(float)", shape: [batch, info.noiseDim] },
    { name: label, type: "tensor(int64)", shape: [batch] },
  ];
  const shape = [batch, info.channels, info.height, info.width];
  const expectedOutputs = [{ name: image, type: "tensor(uint8)", shape }];
  for (const [kind, actualSpecs, expectedSpecs] of [
    ["input", inputs, expectedInputs],
    ["output", outputs, expectedOutputs],
  ]) {
    const [actual, expected] = [describe(actualSpecs), describe(expectedSpecs)];
    if (actual !== expected) throw modelError("other tensors", { source, kind, actual, expected });
  }
  return info;
}

async function readMetadata(metadata, outputs) {
  const [channels, height, width] = imageShape(outputs);
  const keyOf = (name) => CONTRACT.prefix + name;
  for (const name of CONTRACT.fields) {
    if (!metadata.has(keyOf(name))) reject("missing key", { key: keyOf(name) });
  }
  const read = (name) => metadata.get(keyOf(name));
  for (const name of CONTRACT.objects) parseObject(read(name), keyOf(name));
  const key = keyOf("class_names");
  const classNames = readList(parse(read("class_names"), key), key, "string", "strings");
  const noiseDim = inRange(
    parse(read("noise_dim"), keyOf("noise_dim")),
    keyOf("noise_dim"),
    2n ** 31n,
    1n,
  );
  const golden = parseObject(read("golden"), keyOf("golden"));
  const size = channels * height * width;
  return {
    classNames,
    noiseDim: Number(noiseDim),
    channels,
    height,
    width,
    dataset: read("dataset"),
    precision: read("precision"),
    golden: await readGolden(golden, keyOf("golden"), classNames.length, size),
    bitExact: readBitExact(metadata, read("precision")),
  };
}

function readBitExact(metadata, precision) {
  const key = CONTRACT.bitExactKey;
  if (!metadata.has(key)) return precision === "int8";
  const value = parse(metadata.get(key), key);
  if (typeof value !== "boolean") reject("not a boolean", { key });
  return value;
}

/** Return the golden sample; `size` is the number of bytes of one image. */
async function readGolden(values, key, classes, size) {
  for (const part of ["seed", "labels", "images"]) {
    if (!values.has(part)) reject("missing key", { key: `${key}.${part}` });
  }
  const seed = inRange(values.get("seed"), `${key}.seed`, 2n ** 64n);
  const labels = readList(values.get("labels"), `${key}.labels`, "bigint", "whole numbers");
  for (const label of labels) inRange(label, `${key}.labels`, BigInt(classes));
  const images = await decompress(values.get("images"), labels.length * size);
  return { seed, labels: labels.map(Number), images };
}

function parse(text, key) {
  try {
    return parseJson(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return reject("not JSON", { key });
  }
}

function parseObject(text, key) {
  const value = parse(text, key);
  if (!(value instanceof Map)) reject("not an object", { key });
  return value;
}

function readList(values, key, type, kind) {
  const isList = Array.isArray(values) && values.length > 0;
  if (!isList || values.some((value) => typeof value !== type)) reject("not a list", { key, kind });
  return values;
}

function inRange(value, key, end, minimum = 0n) {
  if (typeof value !== "bigint" || value < minimum || value >= end) {
    const shown = typeof value === "bigint" ? String(value).slice(0, 40) : kindOf(value);
    reject("out of range", { key, value: shown, minimum, maximum: end - 1n });
  }
  return value;
}

function kindOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Map) return "an object";
  const kinds = { string: "a string", number: "a number with a fraction", boolean: "a boolean" };
  return kinds[typeof value];
}

/** Return the golden images, which must have `size` bytes; never decompress more. */
async function decompress(text, size) {
  const isBase64 =
    typeof text === "string" && /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0;
  if (!isBase64 || size > LIMITS.MAX_GOLDEN_BYTES) {
    reject("golden images", { limit: grouped(LIMITS.MAX_GOLDEN_BYTES) });
  }
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const pixels = new Uint8Array(size);
  const reader = new Blob([packed])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"))
    .getReader();
  try {
    let at = 0;
    for (let part; !(part = await reader.read()).done; at += part.value.length) {
      if (at + part.value.length > size) break;
      pixels.set(part.value, at);
    }
    if (at === size && (await reader.read()).done) return pixels;
  } catch {
    // The compressed data is damaged.
  } finally {
    reader.cancel().catch(() => {});
  }
  return reject("golden size");
}

function imageShape(outputs) {
  for (const { name, shape } of outputs) {
    const sizes = shape.slice(1);
    const isFixed = sizes.length === 3 && sizes.every((size) => typeof size === "bigint");
    if (name === CONTRACT.image && isFixed && CONTRACT.channels.includes(Number(sizes[0]))) {
      return sizes.map(Number);
    }
  }
  return reject("no image", { name: CONTRACT.image });
}

function describe(specs) {
  const texts = specs.map(({ name, type, shape }) => `${name} ${type} [${shape.join(", ")}]`);
  return printable(firstOf(texts.join(", "), LIMITS.MAX_DESCRIPTION));
}
