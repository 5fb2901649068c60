/**
 * The model contract, version 1, as docs/contract.md states it: the one place of the page that
 * spells a tensor's or a metadata key's name.
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
 * Return the metadata of a file that follows a contract this page knows.
 *
 * @param {Uint8Array} bytes - the whole file
 * @param {string} source - its name, for messages
 * @returns {Map<string, string>}
 * @throws {ModelError} it is no ONNX file, is truncated, or lacks the contract or has a newer one
 */
export function readMetadata(bytes, source) {
  let metadata;
  try {
    metadata = metadataProps(bytes);
  } catch (cause) {
    throw new ModelError(
      `${source} is not an ONNX model, or is truncated; open a file that cgan-export wrote`,
      { cause },
    );
  }
  const version = metadata.get(CONTRACT_KEY);
  if (version === undefined) {
    throw new ModelError(
      `${source} is an ONNX model, but not one that cgan-export wrote ` +
        `(its metadata lack ${CONTRACT_KEY}); export one with cgan-export`,
    );
  }
  if (!/^[1-9][0-9]{0,8}$/.test(version)) {
    throw new ModelError(
      `${source} has a malformed contract version "${version}"; export it again`,
    );
  }
  if (Number(version) > CONTRACT_VERSION) {
    throw new ModelError(
      `${source} follows model contract ${version}, this page knows ${CONTRACT_VERSION}; ` +
        "visit a newer page",
    );
  }
  return metadata;
}

/**
 * Check a model's tensors and return what its metadata say.
 *
 * @param {Map<string, string>} metadata - from readMetadata
 * @param {object} session - onnxruntime-web's, whose inputMetadata and outputMetadata are checked
 * @param {string} source - the file's name, for messages
 * @returns {Promise<{classNames: string[], noiseDim: number, height: number, width: number,
 *     dataset: string, precision: string, quality: object,
 *     golden: {seed: bigint, labels: number[], images: Uint8Array}}>} sizes in pixels; the golden
 *     images are uint8 [labels, 1, height, width]
 * @throws {ModelError} it breaks the contract
 */
export async function readInfo(metadata, session, source) {
  let info;
  try {
    info = await parse(metadata, session.outputMetadata);
  } catch (cause) {
    throw new ModelError(
      `${source} has malformed contract metadata (${cause.message}); ` +
        "export it again with cgan-export",
      { cause },
    );
  }
  const promised = {
    input: `${NOISE} float32 [batch, ${info.noiseDim}], ${LABEL} int64 [batch]`,
    output: `${IMAGE} uint8 [batch, 1, ${info.height}, ${info.width}]`,
  };
  const found = {
    input: describe(session.inputMetadata),
    output: describe(session.outputMetadata),
  };
  for (const kind of ["input", "output"]) {
    if (found[kind] !== promised[kind]) {
      throw new ModelError(
        `${source} breaks the model contract: its ${kind} is ${found[kind]}, promised is ` +
          `${promised[kind]}; export it again with cgan-export`,
      );
    }
  }
  return info;
}

async function parse(metadata, outputs) {
  const get = (key) => {
    const value = metadata.get(PREFIX + key);
    if (value === undefined) throw new TypeError(`no ${PREFIX}${key}`);
    return value;
  };
  const [height, width] = imageSize(outputs);
  const classNames = listOf("string", JSON.parse(get("class_names")));
  const noiseDim = wholeNumber(get("noise_dim"));
  const golden = JSON.parse(get("golden"));
  const labels = listOf("number", golden.labels);
  // JSON.parse would round a seed above 2^53, so it is taken from the text.
  const [, seed] = /"seed":\s*([0-9]+)\b/.exec(get("golden")) ?? [];
  if (seed === undefined) throw new TypeError("the golden sample has no seed");
  const images = await inflate(fromBase64(golden.images));
  if (classNames.length < 1 || noiseDim < 1) throw new TypeError("no classes, or no noise");
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
  const shape = outputs.find((each) => each.name === IMAGE)?.shape ?? [];
  const [height, width] = shape.slice(2);
  if (shape.length !== 4 || typeof height !== "number" || typeof width !== "number") {
    throw new TypeError(`no output ${IMAGE} of a fixed height and width`);
  }
  return [height, width];
}

function describe(tensors) {
  return tensors.map((each) => `${each.name} ${each.type} [${each.shape.join(", ")}]`).join(", ");
}

function listOf(type, values) {
  if (!Array.isArray(values) || values.some((each) => typeof each !== type)) {
    throw new TypeError(`a list of ${type}s was expected`);
  }
  return values;
}

function wholeNumber(text) {
  if (!/^[0-9]{1,9}$/.test(text)) throw new TypeError(`"${text}" is not a whole number`);
  return Number(text);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
