/**
 * Shared parts of the tests of the page: a real Chromium, the built page, and the images of the
 * Python runtime. CGAN_PYTHON is the path of a Python with cgan_runtime.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { DIST, build } from "../../build.mjs";
import { serve } from "../../serve.mjs";
import { WITHOUT_GPU, launch } from "../chromium.mjs";
import { readSheet } from "../png.mjs";

const REFERENCE = fileURLToPath(new URL("../../../tests/web/reference.py", import.meta.url));
const PYTHON = process.env.CGAN_PYTHON ?? "python3";
const BASE = "/in/a/folder/"; // some hosts serve a project from a folder
export const SIZE = 28;
const SHIPPED_SHAPE = { size: [SIZE, SIZE], scale: 4 }; // scale: enlargement in the saved PNG
export const EQUAL = { pixels: 0, max: 0 };

/** Return the labels of the digits of a number, repeated, in the order of cgan-run. */
const labelsOf = (digits, count) => [...digits.repeat(count)].map(Number);
export const REQUESTS = [
  { name: "nine", digits: "9", count: 1, seed: "7" },
  { name: "year", digits: "2026", count: 5, seed: "0" },
  { name: "all", digits: "0123456789", count: 30, seed: "123456789" },
  { name: "last-seed", digits: "31415926535897932384", count: 3, seed: "18446744073709551615" },
  { name: "thousand", digits: "8", count: 1000, seed: "5" },
];
export const WALKS = [
  { name: "walk", digits: "2026", count: 3, seed: "8", to: "9" },
  { name: "walk-same-noise", digits: "0123456789", count: 2, seed: "1", to: "5", sharing: 10 },
];
export const FRAMES = 48;
export const SAME_NOISE = {
  name: "same-noise",
  digits: "0123456789",
  count: 10,
  seed: "3",
  sharing: 10,
};
const OWN_MODELS = [
  { name: "own-garments", model: "garments.onnx", labels: [9], seed: "1" },
  { name: "own-float", model: "float.onnx", labels: labelsOf("0123456789", 10), seed: "1" },
  { name: "own-portrait", model: "portrait.onnx", labels: labelsOf("012", 10), seed: "1" },
  { name: "own-tall", model: "tall.onnx", labels: labelsOf("012", 10), seed: "1" },
];

export let folder, server, address, context, page;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "cgan-web-"));
  const walks = WALKS.map((walk) => ({ ...walk, frames: FRAMES }));
  const shipped = [...REQUESTS, ...walks, SAME_NOISE].map(({ digits, count, ...each }) => {
    return { ...each, model: null, labels: labelsOf(digits, count) };
  });
  // Python reads numbers in JSON exactly, so the seeds are written as numbers.
  const requests = [...shipped, ...OWN_MODELS];
  const input = JSON.stringify(requests).replace(/"(seed|to)":"(\d+)"/g, '"$1":$2');
  const result = spawnSync(PYTHON, [REFERENCE, folder], { input, encoding: "utf8" });
  assert.equal(result.status, 0, result.stderr);
  build();
  await host();
  context = await launch(WITHOUT_GPU, join(folder, "profile"));
  page = await visit();
});

after(async () => {
  await context?.close();
  server?.close();
  // Some processes of Chromium may still write after it reports that it is closed.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

export async function host(port = 0) {
  server = await serve(DIST, port, BASE);
  address = `http://127.0.0.1:${server.address().port}${BASE}`;
}

/** Open the page and wait until it shows images and works offline. */
export async function visit(hash = "", browser = context, url = address) {
  const opened = await browser.newPage();
  opened.problems = [];
  opened.on("pageerror", (error) => opened.problems.push(error.message));
  opened.on("console", (message) => {
    // onnxruntime-web logs why few.onnx fails.
    const isProblem = message.type() === "error" && !message.text().includes("ExecuteKernel");
    if (isProblem) opened.problems.push(message.text());
  });
  await opened.goto(url + hash);
  await opened.getByText("The page now works offline.").waitFor();
  return opened;
}

export const addressOf = (listening) => `http://127.0.0.1:${listening.address().port}/`;

export function closeServer(listening) {
  listening.closeAllConnections();
  listening.close();
}

/** Run an action and wait for the sheet that it requests. */
export async function waitForSheet(action, on = page) {
  const before = await on.evaluate(() => document.documentElement.dataset.generated);
  await action();
  await on.waitForFunction((old) => document.documentElement.dataset.generated !== old, before);
}

/** Type a request into the fields and wait for its sheet. */
export async function request({ digits, count, seed }, on = page) {
  await on.locator("#count").fill("1");
  for (const [id, value] of Object.entries({ number: digits, count: String(count), seed })) {
    await on.locator(`#${id}`).fill(value);
  }
  await on.waitForFunction(
    (hash) => location.hash.startsWith(hash),
    `#digits=${digits}&count=${count}&seed=${seed}`,
  );
}

/** Press "Save PNG" and return the images in the file, [count, channels, ...size], and its name. */
export async function saved(
  count,
  on = page,
  press = () => on.locator("#save").click(),
  { size, scale } = SHIPPED_SHAPE,
) {
  const [download] = await Promise.all([on.waitForEvent("download"), press()]);
  const sheet = readSheet(readFileSync(await download.path()), count, size, scale);
  return { ...sheet, name: download.suggestedFilename() };
}

/** Show each of these frames of the walk, and return its images, [count, 1, SIZE, SIZE]. */
export function framesOf(numbers, on) {
  return on.evaluate(
    async ([frames, size]) => {
      const slider = document.getElementById("frame");
      const canvas = document.getElementById("sheet");
      const { dataset } = document.documentElement;
      const sheets = [];
      for (const frame of frames) {
        const before = dataset.generated;
        slider.value = frame;
        slider.dispatchEvent(new Event("input"));
        while (dataset.generated === before) await new Promise(requestAnimationFrame);
        const context = canvas.getContext("2d");
        const images = [];
        for (let y = 0; y < canvas.height; y += size) {
          for (let x = 0; x < canvas.width; x += size) {
            const { data } = context.getImageData(x, y, size, size);
            images.push(...data.filter((_, i) => i % 4 === 3));
          }
        }
        sheets.push(images);
      }
      return sheets;
    },
    [numbers, SIZE],
  );
}

export const framesOfPython = (name) => readFileSync(join(folder, `${name}.bin`));

/** Run a cgan-run command of the page, and return the bytes of all images. */
export function generatedBy(command) {
  const output = join(folder, "command.npy");
  const words = ["-m", "cgan_runtime", ...command.split(" ").slice(1), "--output", output];
  const result = spawnSync(PYTHON, words, { encoding: "utf8" });
  assert.equal(result.status, 0, result.stderr);
  const content = readFileSync(output);
  return content.subarray(10 + content.readUInt16LE(8)); // after the header of the .npy format 1.0
}

/** Return whether images are those of one frame of a walk of the Python runtime. */
export function isFrame(images, name, frame) {
  const walk = framesOfPython(name);
  return walk.subarray(frame * images.length, (frame + 1) * images.length).equals(
    Buffer.from(images),
  );
}

export const linkOf = ({ digits, count, seed, to, sharing }, frame) =>
  `#digits=${digits}&count=${count}&seed=${seed}${sharing ? "&noise=same" : ""}` +
  (to === undefined ? "" : `&to=${to}&frame=${frame}`);

/** Return the number of pixels that differ from the Python runtime, and the max pixel error. */
export function difference(images, name) {
  const expected = readFileSync(join(folder, `${name}.bin`));
  assert.equal(images.length, expected.length);
  const errors = expected.map((value, i) => Math.abs(value - images[i]));
  return { pixels: errors.filter(Boolean).length, max: errors.reduce((a, b) => Math.max(a, b), 0) };
}

export async function open(name, on = page) {
  await on.locator("#file").setInputFiles(join(folder, name));
}

export async function selectProvider(name, on) {
  await on.locator("details").evaluate((settings) => (settings.open = true));
  await on.locator("#provider").selectOption(name);
}

export const text = (id, on = page) => on.locator(`#${id}`).textContent();
