/**
 * Read the metadata of an ONNX file. onnxruntime-web does not expose it, so this module parses the
 * file: a ModelProto (onnx.proto) in protobuf's wire format (protobuf.dev/programming-guides/
 * encoding). It needs only these fields:
 */
const GRAPH = 7;
const METADATA_PROPS = 14;
const KEY = 1;
const VALUE = 2;

const VARINT = 0;
const EIGHT_BYTES = 1;
const LENGTH = 2;
const FOUR_BYTES = 5;

/**
 * Return the metadata_props of an ONNX file.
 *
 * @param {Uint8Array} bytes - the whole file
 * @returns {Map<string, string>}
 * @throws {RangeError} the bytes are not a complete ONNX file
 */
export function metadataProps(bytes) {
  const props = new Map();
  let hasGraph = false;
  for (const [field, content] of fields(bytes)) {
    if (field === GRAPH && content) hasGraph = true;
    if (field === METADATA_PROPS && content) {
      const entry = new Map(fields(content));
      props.set(text(entry.get(KEY)), text(entry.get(VALUE)));
    }
  }
  if (!hasGraph) throw new RangeError("the file has no graph");
  return props;
}

/** Yield [field number, content] of a protobuf message; the content of a number is null. */
function* fields(bytes) {
  let position = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; scale < 2 ** 70; scale *= 128) {
      if (position >= bytes.length) break;
      const byte = bytes[position++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new RangeError("a number is not terminated");
  };
  const take = (length) => {
    if (length > bytes.length - position) throw new RangeError("a field is truncated");
    position += length;
    return bytes.subarray(position - length, position);
  };
  while (position < bytes.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    const type = tag % 8;
    if (field === 0) throw new RangeError("field number 0 is not allowed");
    if (type === LENGTH) yield [field, take(varint())];
    else {
      if (type === VARINT) varint();
      else if (type === EIGHT_BYTES) take(8);
      else if (type === FOUR_BYTES) take(4);
      else throw new RangeError(`wire type ${type} is not supported`);
      yield [field, null];
    }
  }
}

/** Decode a text. Protobuf may omit an empty one. */
function text(bytes) {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes ?? new Uint8Array());
}
