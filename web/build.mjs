/** Build dist/, the folder to host: src/, the shipped model and onnxruntime-web. */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { BUILDS, filesOf } from "./src/builds.mjs";

const HERE = new URL("./", import.meta.url);
const SOURCE = new URL("src/", HERE);
const MODEL = new URL("../runtime/src/cgan_runtime/models/digits.onnx", HERE);
const RUNTIME = new URL("node_modules/onnxruntime-web/", HERE);
export const DIST = fileURLToPath(new URL("dist/", HERE));

const RUNTIME_FILES = Object.values(BUILDS).flatMap(filesOf);

/** Delete dist/ and build it again. */
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
  fillInWorker(new URL("service-worker.js", dist), dist, vendor);
}

/** Write the list of files and a hash of their contents into the service worker. */
function fillInWorker(worker, dist, vendor) {
  const files = readdirSync(dist).filter((file) => !["service-worker.js", "vendor"].includes(file));
  const template = readFileSync(worker, "utf8");
  const hash = createHash("sha256").update(template).update(vendor);
  for (const file of files.sort()) hash.update(file).update(readFileSync(new URL(file, dist)));
  const filled = template
    .replace("__BUILD__", hash.digest("hex").slice(0, 12))
    .replace('["__FILES__"]', JSON.stringify(["./", ...files]))
    .replace('["__RUNTIME__"]', JSON.stringify(RUNTIME_FILES.map((file) => vendor + file)));
  writeFileSync(worker, filled);
}

/** Print what a visitor fetches, in bytes, uncompressed and with gzip. */
function printSizes() {
  const { version } = JSON.parse(readFileSync(new URL("package.json", RUNTIME), "utf8"));
  const files = readdirSync(DIST, { withFileTypes: true }).filter((entry) => entry.isFile());
  const parts = { page: files.map(({ name }) => name).filter((name) => name !== "digits.onnx") };
  parts.model = ["digits.onnx"];
  for (const [name, build] of Object.entries(BUILDS)) {
    parts[name] = filesOf(build).map((file) => `vendor/onnxruntime-web-${version}/${file}`);
  }
  for (const [name, files] of Object.entries(parts)) {
    const contents = files.map((file) => readFileSync(DIST + file));
    const plain = contents.reduce((sum, bytes) => sum + bytes.length, 0);
    const gzip = contents.reduce((sum, bytes) => sum + gzipSync(bytes, { level: 9 }).length, 0);
    console.log(`${name.padEnd(9)} ${String(plain).padStart(10)} ${String(gzip).padStart(9)} gzip`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  build();
  console.log("built web/dist");
  if (process.argv.includes("--sizes")) printSizes();
}
