/**
 * Build dist/, the folder to host: src/, the shipped model, onnxruntime-web, the licenses, and the
 * tutorial, as the pages of `make docs` if they were built.
 */
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { BUILDS, filesOf } from "./src/builds.js";

const HERE = new URL("./", import.meta.url);
const SOURCE = new URL("src/", HERE);
const MODEL = new URL("../runtime/src/cgan_runtime/models/digits.onnx", HERE);
const TUTORIAL = new URL("../docs/tutorial/README.md", HERE);
const SITE = new URL("../dist/docs/", HERE);
const PACKAGES = new URL("node_modules/", HERE);
const RUNTIME = new URL("onnxruntime-web/", PACKAGES);
export const DIST = fileURLToPath(new URL("dist/", HERE));

const RUNTIME_FILES = Object.values(BUILDS).flatMap(filesOf);
const WORKER = "service-worker.js";
const LICENSES = "licenses.txt";
const TEXTS = [LICENSES, "tutorial.txt"]; // fetched if a visitor opens them

/** Delete dist/ and build it again. */
export function build() {
  const { version } = JSON.parse(readFileSync(new URL("package.json", RUNTIME), "utf8"));
  const vendor = `vendor/onnxruntime-web-${version}/`;
  const dist = new URL("dist/", HERE);
  rmSync(dist, { recursive: true, force: true });
  cpSync(SOURCE, dist, { recursive: true });
  cpSync(MODEL, new URL("digits.onnx", dist));
  cpSync(TUTORIAL, new URL("tutorial.txt", dist));
  const hasSite = existsSync(new URL("tutorial/README.html", SITE));
  if (hasSite) cpSync(SITE, new URL("docs/", dist), { recursive: true });
  const built = {
    ONNXRUNTIME: version,
    TUTORIAL: hasSite ? "docs/tutorial/README.html" : "tutorial.txt",
  };
  const lines = Object.entries(built).map(
    ([name, value]) => `export const ${name} = ${JSON.stringify(value)};\n`,
  );
  writeFileSync(new URL("built.js", dist), lines.join(""));
  writeFileSync(new URL(LICENSES, dist), licenses(version));
  mkdirSync(new URL(vendor, dist), { recursive: true });
  for (const file of RUNTIME_FILES) {
    const original = file.replace(/\.js$/, ".mjs");
    cpSync(new URL(`dist/${original}`, RUNTIME), new URL(vendor + file, dist));
  }
  fillInWorker(dist, vendor);
}

/** Return the license texts of everything in dist/. */
function licenses(version) {
  const parts = {
    cgan: new URL("../LICENSE", HERE),
    [`onnxruntime-web ${version}`]: new URL("licenses/onnxruntime-LICENSE.txt", HERE),
    "onnxruntime, third-party notices": new URL("licenses/onnxruntime-ThirdPartyNotices.txt", HERE),
  };
  const { packages } = JSON.parse(readFileSync(new URL("package-lock.json", HERE), "utf8"));
  for (const [path, entry] of Object.entries(packages)) {
    const file = new URL(`${path}/LICENSE`, HERE);
    if (path && !entry.dev && existsSync(file)) {
      parts[`${path.replace("node_modules/", "")} ${entry.version}`] = file;
    }
  }
  const title = (name) => `${"=".repeat(80)}\n${name}\n${"=".repeat(80)}\n\n`;
  return Object.entries(parts)
    .map(([name, file]) => title(name) + readFileSync(file, "utf8").trimEnd())
    .join("\n\n")
    .concat("\n");
}

/** Write the files that the page consists of, with their SHA-256, into the service worker. */
function fillInWorker(dist, vendor) {
  const hashOf = (file) =>
    createHash("sha256")
      .update(readFileSync(new URL(file, dist)))
      .digest("hex");
  const skipped = [WORKER, ...TEXTS, "vendor", "docs"];
  const files = readdirSync(dist)
    .filter((file) => !skipped.includes(file))
    .sort();
  const hashes = { "": hashOf("index.html") };
  for (const file of files) hashes[file] = hashOf(file);
  const later = {};
  for (const file of [...TEXTS, ...RUNTIME_FILES.map((each) => vendor + each)]) {
    later[file] = hashOf(file);
  }
  const worker = new URL(WORKER, dist);
  const template = readFileSync(worker, "utf8");
  const contents = JSON.stringify([template, hashes, later]);
  const filled = template
    .replace("__BUILD__", createHash("sha256").update(contents).digest("hex").slice(0, 12))
    .replace('{ __FILES__: "" }', JSON.stringify(hashes, null, 1))
    .replace('{ __LATER__: "" }', JSON.stringify(later, null, 1));
  writeFileSync(worker, filled);
}

/** Return what a visitor fetches by part, in bytes: [uncompressed, with gzip]. */
export function sizes() {
  const { version } = JSON.parse(readFileSync(new URL("package.json", RUNTIME), "utf8"));
  const files = readdirSync(DIST, { withFileTypes: true }).filter((entry) => entry.isFile());
  const other = ["digits.onnx", ...TEXTS];
  const parts = { page: files.map(({ name }) => name).filter((name) => !other.includes(name)) };
  parts.model = ["digits.onnx"];
  for (const [name, build] of Object.entries(BUILDS)) {
    parts[name] = filesOf(build).map((file) => `vendor/onnxruntime-web-${version}/${file}`);
  }
  const measured = Object.entries(parts).map(([name, paths]) => {
    const contents = paths.map((path) => readFileSync(DIST + path));
    const compressed = contents.map((bytes) => gzipSync(bytes, { level: 9 }));
    const total = (all) => all.reduce((sum, bytes) => sum + bytes.length, 0);
    return [name, [total(contents), total(compressed)]];
  });
  return Object.fromEntries(measured);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  build();
  console.log("built web/dist");
  const measured = process.argv.includes("--sizes") ? sizes() : {};
  for (const [name, [plain, gzip]] of Object.entries(measured)) {
    console.log(`${name.padEnd(9)} ${String(plain).padStart(10)} ${String(gzip).padStart(9)} gzip`);
  }
}
