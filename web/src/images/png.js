/**
 * Write images as a PNG with the same pixels as cgan-run's PNG. A canvas is not used for this:
 * browsers that prevent fingerprinting change the pixels that a page reads back from a canvas.
 */

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const COLOR_TYPES = { 1: 0, 3: 2 }; // PNG color type by number of channels: gray, RGB

/**
 * Return a PNG of 8 bits per channel (PNG, third edition, W3C 2025), with each pixel enlarged to
 * scale x scale pixels.
 *
 * @param {Uint8Array} pixels - [height * width * channels], 0 to 255
 * @param {number} width - in pixels
 * @param {number} channels - 1 for gray, 3 for RGB
 * @param {number} scale
 * @returns {Promise<Blob>}
 */
export async function toPng(pixels, width, channels, scale) {
  const height = pixels.length / width / channels;
  const rowLength = 1 + width * channels * scale; // a row starts with its filter type: 0 is none
  const rows = new Uint8Array(rowLength * height * scale);
  for (let y = 0; y < height; y++) {
    const first = rowLength * y * scale;
    for (let x = 0; x < width * scale; x++) {
      const from = (y * width + Math.floor(x / scale)) * channels;
      rows.set(pixels.subarray(from, from + channels), first + 1 + x * channels);
    }
    for (let copy = 1; copy < scale; copy++) {
      rows.copyWithin(first + copy * rowLength, first, first + rowLength);
    }
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width * scale);
  header.setUint32(4, height * scale);
  header.setUint8(8, 8); // bit depth
  header.setUint8(9, COLOR_TYPES[channels]); // 0 in the other fields: deflate, not interlaced
  const parts = [
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("IDAT", await deflate(rows)),
    chunk("IEND", new Uint8Array()),
  ];
  return new Blob(parts, { type: "image/png" });
}

async function deflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function chunk(type, content) {
  const bytes = new Uint8Array(12 + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(content, 8);
  view.setUint32(8 + content.length, crc32(bytes.subarray(4, 8 + content.length)));
  return bytes;
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}
