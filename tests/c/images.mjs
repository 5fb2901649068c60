// Write COUNT images of a seed to stdout, as images.c does, with net.c compiled to WebAssembly:
// node images.mjs net.wasm SEED START COUNT CLASSES IMAGE_BYTES

import { readFileSync, writeSync } from "node:fs";

const [file, seed, start, count, classes, size] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(file));
const { memory, __heap_base: end, ...net } = instance.exports;
const address = end.value; // free memory begins there
if (net.net_selftest() !== 0 || net.net_generate(0n, 0n, -1, address) !== -1) process.exit(1);
for (let i = 0n; i < BigInt(count); i++) {
  const label = Number(i % BigInt(classes));
  if (net.net_generate(BigInt(seed), BigInt(start) + i, label, address) !== 0) process.exit(1);
  writeSync(1, new Uint8Array(memory.buffer, address, Number(size)));
}
