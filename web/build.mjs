/** Makes dist/, the folder to host: src/, the model that the wheel ships, and onnxruntime-web. */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const HERE = new URL("./", import.meta.url);
const SOURCE = new URL("src/", HERE);
const MODEL = new URL("../runtime/src/cgan_runtime/models/digits.onnx", HERE);
const RUNTIME = new URL("node_modules/onnxruntime-web/", HERE);
export const DIST = fileURLToPath(new URL("dist/", HERE));

/** What src/session.mjs may load: three builds, one of which a browser fetches. */
const RUNTIME_FILES = [
  "ort.wasm.min.mjs",
  "ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.wasm",
  "ort.jspi.min.mjs",
  "ort-wasm-simd-threaded.jspi.mjs",
  "ort-wasm-simd-threaded.jspi.wasm",
  "ort.webgpu.min.mjs",
  "ort-wasm-simd-threaded.asyncify.mjs",
  "ort-wasm-simd-threaded.asyncify.wasm",
];

export function build() {
  const { version } = JSON.parse(readFileSync(new URL("package.json", RUNTIME), "utf8"));
  const vendor = `vendor/onnxruntime-web-${version}/`;
  const dist = new URL("dist/", HERE);
  rmSync(dist, { recursive: true, force: true });
  cpSync(SOURCE, dist, { recursive: true });
  cpSync(MODEL, new URL("digits.onnx", dist));
  writeFileSync(new URL("built.mjs", dist), `export const ONNXRUNTIME = "${version}";\n`);
  mkdirSync(new URL(vendor, dist), { recursive: true });
  for (const file of RUNTIME_FILES) {
    cpSync(new URL(`dist/${file}`, RUNTIME), new URL(vendor + file, dist));
  }
  fillIn(new URL("service-worker.js", dist), dist, vendor);
}

/** Tell the service worker what there is to keep, and give this content a name of its own. */
function fillIn(worker, dist, vendor) {
  const files = readdirSync(dist).filter((file) => !["service-worker.js", "vendor"].includes(file));
  const text = readFileSync(worker, "utf8");
  const hash = createHash("sha256").update(text).update(vendor);
  for (const file of files.sort()) hash.update(file).update(readFileSync(new URL(file, dist)));
  const filled = text
    .replace("__BUILD__", hash.digest("hex").slice(0, 12))
    .replace('["__FILES__"]', JSON.stringify(["./", ...files]))
    .replace('["__RUNTIME__"]', JSON.stringify(RUNTIME_FILES.map((file) => vendor + file)));
  writeFileSync(worker, filled);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  build();
  console.log(`built ${DIST}`);
}
