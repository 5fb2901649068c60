/**
 * Build dist/, the folder to host. It contains src/, the shipped model, onnxruntime-web, the
 * licenses and the tutorial. The tutorial is HTML if `make docs` was run, otherwise text.
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
import { BUILDS, filesOf } from "./src/images/builds.js";

const HERE = new URL("./", import.meta.url);
const SOURCE = new URL("src/", HERE);
const MODEL = new URL("../runtime/src/cgan_runtime/models/digits.onnx", HERE);
const TUTORIAL = new URL("../docs/tutorial/README.md", HERE);
const SITE = new URL("../dist/docs/", HERE);
const PACKAGES = new URL("node_modules/", HERE);
const ONNXRUNTIME = new URL("onnxruntime-web/", PACKAGES);
export const DIST = fileURLToPath(new URL("dist/", HERE));

const ONNXRUNTIME_FILES = Object.values(BUILDS).flatMap(filesOf);
const WORKER = "service-worker.js";
const LICENSES = "licenses.txt";
const TEXTS = [LICENSES, "tutorial.txt"]; // files that are fetched only if a visitor opens them

/** Delete dist/ and build it again. */
export function build() {
  const { version } = JSON.parse(readFileSync(new URL("package.json", ONNXRUNTIME), "utf8"));
  const vendor = `vendor/onnxruntime-web-${version}/`;
  const dist = new URL("dist/", HERE);
  rmSync(dist, { recursive: true, force: true });
  cpSync(SOURCE, dist, { recursive: true });
  for (const file of [WORKER, ...pageFiles()].filter((name) => name.endsWith(".js"))) {
    writeFileSync(DIST + file, withoutComments(readFileSync(DIST + file, "utf8")));
  }
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
  for (const file of ONNXRUNTIME_FILES) {
    const original = file.replace(/\.js$/, ".mjs");
    cpSync(new URL(`dist/${original}`, ONNXRUNTIME), new URL(vendor + file, dist));
  }
  fillInWorker(dist, vendor);
}

/** Remove comments that fill whole lines: a sixth of the page's code after compression. */
function withoutComments(code) {
  return code.replace(/^ *\/\*\*[^]*?\*\/\n|^ *\/\/.*\n/gm, "");
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

/** Return the paths of the files of the page and of the model, below dist/. */
function pageFiles(folder = "") {
  const skipped = ["docs", "vendor", WORKER, ...TEXTS];
  const entries = readdirSync(DIST + folder, { withFileTypes: true });
  return entries.flatMap((entry) => {
    const path = folder + entry.name;
    if (skipped.includes(path)) return [];
    return entry.isDirectory() ? pageFiles(`${path}/`) : [path];
  });
}

/** Write the SHA-256 of each file into the service worker. */
function fillInWorker(dist, vendor) {
  const hashOf = (file) =>
    createHash("sha256")
      .update(readFileSync(new URL(file, dist)))
      .digest("hex");
  const hashes = { "": hashOf("index.html") };
  for (const file of pageFiles().sort()) hashes[file] = hashOf(file);
  const cachedOnFetch = {};
  for (const file of [...TEXTS, ...ONNXRUNTIME_FILES.map((name) => vendor + name)]) {
    cachedOnFetch[file] = hashOf(file);
  }
  const worker = new URL(WORKER, dist);
  const template = readFileSync(worker, "utf8");
  const contents = JSON.stringify([template, hashes, cachedOnFetch]);
  const filled = template
    .replace("__BUILD__", createHash("sha256").update(contents).digest("hex").slice(0, 12))
    .replace('{ __FILES__: "" }', JSON.stringify(hashes, null, 1))
    .replace('{ __CACHED_ON_FETCH__: "" }', JSON.stringify(cachedOnFetch, null, 1));
  writeFileSync(worker, filled);
}

/** Return the download size of each part in bytes: [uncompressed, with gzip]. */
export function sizes() {
  const { version } = JSON.parse(readFileSync(new URL("package.json", ONNXRUNTIME), "utf8"));
  const page = [WORKER, ...pageFiles().filter((file) => file !== "digits.onnx")];
  const parts = { page, model: ["digits.onnx"] };
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
