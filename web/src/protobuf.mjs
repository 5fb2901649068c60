/**
 * The metadata of an ONNX file. onnxruntime-web does not hand them out, so they are read from the
 * file: an ONNX ModelProto in protobuf's wire format (onnx.proto; protobuf.dev/programming-guides/
 * encoding). Of all fields only these matter here:
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
 * @throws {RangeError} it is not a whole ONNX file
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
  if (!hasGraph) throw new RangeError("there is no graph");
  return props;
}

/** Yield [field number, its bytes, or null where it is a number] of a protobuf message. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; scale < 2 ** 70; scale *= 128) {
      if (at >= bytes.length) break;
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new RangeError("a number has no end");
  };
  const skip = (length) => {
    if (length > bytes.length - at) throw new RangeError("a field goes beyond the end");
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    const type = tag % 8;
    if (field === 0) throw new RangeError("there is no field 0");
    if (type === LENGTH) yield [field, skip(varint())];
    else {
      if (type === VARINT) varint();
      else if (type === EIGHT_BYTES) skip(8);
      else if (type === FOUR_BYTES) skip(4);
      else throw new RangeError(`there is no wire type ${type}`);
      yield [field, null];
    }
  }
}

/** An empty text may be left out of a message. */
function text(bytes) {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes ?? new Uint8Array());
}
