/**
 * Grey images as a PNG file, as cgan-run writes it. Not by way of a canvas: browsers that guard
 * against fingerprinting change the pixels that are read back from one.
 */

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/**
 * Return an eight-bit grey PNG (W3C 2003, section 11.2), each pixel drawn scale x scale large.
 *
 * @param {Uint8Array} page - [height * width], 0 black .. 255 white
 * @param {number} width - in pixels
 * @param {number} scale
 * @returns {Promise<Blob>}
 */
export async function toPng(page, width, scale) {
  const height = page.length / width;
  const rowLength = 1 + width * scale; // each row begins with its filter: 0, none
  const rows = new Uint8Array(rowLength * height * scale);
  for (let y = 0; y < height; y++) {
    const first = rowLength * y * scale;
    for (let x = 0; x < width * scale; x++) {
      rows[first + 1 + x] = page[y * width + Math.floor(x / scale)];
    }
    for (let copy = 1; copy < scale; copy++) {
      rows.copyWithin(first + copy * rowLength, first, first + rowLength);
    }
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width * scale);
  header.setUint32(4, height * scale);
  header.setUint8(8, 8); // bits of grey; the other fields are 0: plain
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

function chunk(kind, content) {
  const whole = new Uint8Array(12 + content.length);
  const view = new DataView(whole.buffer);
  view.setUint32(0, content.length);
  whole.set(new TextEncoder().encode(kind), 4);
  whole.set(content, 8);
  view.setUint32(8 + content.length, crc32(whole.subarray(4, 8 + content.length)));
  return whole;
}

function crc32(bytes) {
  let check = ~0;
  for (const byte of bytes) {
    check ^= byte;
    for (let bit = 0; bit < 8; bit++) check = (check >>> 1) ^ (check & 1 ? 0xedb88320 : 0);
  }
  return ~check;
}
