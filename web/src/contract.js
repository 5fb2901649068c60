/**
 * The model contract, version 1, which docs/contract.md specifies. No other module of the page
 * contains the names of tensors and metadata keys.
 */
import { ModelError } from "./errors.mjs";
import { metadataProps } from "./protobuf.mjs";

export const CONTRACT_VERSION = 1;
export const NOISE = "noise";
export const LABEL = "label";
export const IMAGE = "image";
const PREFIX = "cgan.";
const CONTRACT_KEY = `${PREFIX}contract`;

/**
 * Return the metadata of a model file, after checking its contract version.
 *
 * @param {Uint8Array} bytes - the whole file
 * @param {string} source - its name, for messages
 * @returns {Map<string, string>}
 * @throws {ModelError} the file is not ONNX or truncated, or its contract is missing or too new
 */
export function readMetadata(bytes, source) {
  let metadata;
  try {
    metadata = metadataProps(bytes);
  } catch (cause) {
    throw new ModelError(
      `${source} is not an ONNX model or is truncated; open a file that cgan-export wrote`,
      { cause },
    );
  }
  const version = metadata.get(CONTRACT_KEY);
  if (version === undefined) {
    throw new ModelError(
      `${source} was not written by cgan-export (its metadata has no ${CONTRACT_KEY}); ` +
        "open a file that cgan-export wrote",
    );
  }
  if (!/^[1-9][0-9]{0,8}$/.test(version)) {
    throw new ModelError(`${source} has invalid contract version "${version}"; export it again`);
  }
  if (Number(version) > CONTRACT_VERSION) {
    throw new ModelError(
      `${source} follows model contract ${version}, but this page supports only ` +
        `${CONTRACT_VERSION}; use a newer version of the page`,
    );
  }
  return metadata;
}

/**
 * Check a model's tensors and return the contents of its metadata.
 *
 * @param {Map<string, string>} metadata - from readMetadata
 * @param {object} session - of onnxruntime-web, with inputMetadata and outputMetadata
 * @param {string} source - the file's name, for messages
 * @returns {Promise<{classNames: string[], noiseDim: number, height: number, width: number,
 *     dataset: string, precision: string, quality: object,
 *     golden: {seed: bigint, labels: number[], images: Uint8Array}}>} height and width in pixels;
 *     the golden images have shape [labels, 1, height, width]
 * @throws {ModelError} the model breaks the contract
 */
export async function readInfo(metadata, session, source) {
  let info;
  try {
    info = await parse(metadata, session.outputMetadata);
  } catch (cause) {
    throw new ModelError(
      `${source} has invalid metadata (${cause.message}); export it again with cgan-export`,
      { cause },
    );
  }
  const expected = {
    input: `${NOISE} float32 [batch, ${info.noiseDim}], ${LABEL} int64 [batch]`,
    output: `${IMAGE} uint8 [batch, 1, ${info.height}, ${info.width}]`,
  };
  const actual = {
    input: describe(session.inputMetadata),
    output: describe(session.outputMetadata),
  };
  for (const kind of ["input", "output"]) {
    if (actual[kind] !== expected[kind]) {
      throw new ModelError(
        `${source} breaks the model contract: its ${kind} must be ${expected[kind]}, got ` +
          `${actual[kind]}; export it again with cgan-export`,
      );
    }
  }
  return info;
}

async function parse(metadata, outputs) {
  const get = (key) => {
    const value = metadata.get(PREFIX + key);
    if (value === undefined) throw new TypeError(`${PREFIX}${key} is missing`);
    return value;
  };
  const [height, width] = imageSize(outputs);
  const classNames = requireList("string", JSON.parse(get("class_names")));
  const noiseDim = parseWholeNumber(get("noise_dim"));
  const golden = JSON.parse(get("golden"));
  const labels = requireList("number", golden.labels);
  // JSON.parse would round a seed above 2^53, so the text is searched for it.
  const [, seed] = /"seed":\s*([0-9]+)\b/.exec(get("golden")) ?? [];
  if (seed === undefined) throw new TypeError("the golden sample has no seed");
  const images = await inflate(fromBase64(golden.images));
  if (classNames.length < 1) throw new TypeError("class_names is empty");
  if (noiseDim < 1) throw new TypeError("noise_dim is 0");
  if (images.length !== labels.length * height * width) {
    throw new TypeError("the golden sample has the wrong size");
  }
  return {
    classNames,
    noiseDim,
    height,
    width,
    dataset: get("dataset"),
    precision: get("precision"),
    quality: JSON.parse(get("quality")),
    golden: { seed: BigInt(seed), labels, images },
  };
}

function imageSize(outputs) {
  const shape = outputs.find(({ name }) => name === IMAGE)?.shape ?? [];
  const [height, width] = shape.slice(2);
  if (shape.length !== 4 || typeof height !== "number" || typeof width !== "number") {
    throw new TypeError(`the model has no output ${IMAGE} with a fixed height and width`);
  }
  return [height, width];
}

function describe(tensors) {
  const texts = tensors.map(({ name, type, shape }) => `${name} ${type} [${shape.join(", ")}]`);
  return texts.join(", ");
}

function requireList(type, values) {
  if (!Array.isArray(values) || values.some((value) => typeof value !== type)) {
    throw new TypeError(`expected a list of ${type}s`);
  }
  return values;
}

function parseWholeNumber(text) {
  if (!/^[0-9]{1,9}$/.test(text)) throw new TypeError(`"${text}" is not a whole number`);
  return Number(text);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
