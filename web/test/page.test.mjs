/**
 * Test the page in a real Chromium and compare its images with the Python runtime's.
 * CGAN_PYTHON is the path of a Python with cgan_runtime.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { DIST, build, sizes } from "../build.mjs";
import { serve } from "../serve.mjs";
import { SOFTWARE_GPU, WITHOUT_GPU, launch } from "./chromium.mjs";
import { readSheet } from "./png.mjs";

const REFERENCE = fileURLToPath(new URL("../../tests/web/reference.py", import.meta.url));
const PYTHON = process.env.CGAN_PYTHON ?? "python3";
const OTHER_HOST = "http://foreign.invalid";
const BASE = "/in/a/folder/"; // some hosts serve a project from a folder
const SIZE = 28;
const SHIPPED_SHAPE = { size: [SIZE, SIZE], scale: 4 }; // scale: of the saved PNG
const EQUAL = { pixels: 0, max: 0 };

/** Return the labels of a number's digits, repeated, in the order of cgan-run. */
const labelsOf = (digits, count) => [...digits.repeat(count)].map(Number);
const REQUESTS = [
  { name: "nine", digits: "9", count: 1, seed: "7" },
  { name: "year", digits: "2026", count: 5, seed: "0" },
  { name: "all", digits: "0123456789", count: 30, seed: "123456789" },
  { name: "last-seed", digits: "31415926535897932384", count: 3, seed: "18446744073709551615" },
  { name: "thousand", digits: "8", count: 1000, seed: "5" },
];
const WALKS = [
  { name: "walk", digits: "2026", count: 3, seed: "8", to: "9" },
  { name: "walk-same-noise", digits: "0123456789", count: 2, seed: "1", to: "5", sharing: 10 },
];
const FRAMES = 48;
const SAME_NOISE = { name: "same-noise", digits: "0123456789", count: 10, seed: "3", sharing: 10 };
const OWN_MODELS = [
  { name: "own-garments", model: "garments.onnx", labels: [9], seed: "1" },
  { name: "own-float", model: "float.onnx", labels: labelsOf("0123456789", 10), seed: "1" },
  { name: "own-portrait", model: "portrait.onnx", labels: labelsOf("012", 10), seed: "1" },
  { name: "own-tall", model: "tall.onnx", labels: labelsOf("012", 10), seed: "1" },
];

let folder, server, address, context, page;

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

async function host(port = 0) {
  server = await serve(DIST, port, BASE);
  address = `http://127.0.0.1:${server.address().port}${BASE}`;
}

/** Open the page and wait until it shows images and works offline. */
async function visit(hash = "", browser = context, url = address) {
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

const addressOf = (listening) => `http://127.0.0.1:${listening.address().port}/`;

function closeServer(listening) {
  listening.closeAllConnections();
  listening.close();
}

/** Run an action and wait for the sheet that it requests. */
async function waitForSheet(action, on = page) {
  const before = await on.evaluate(() => document.documentElement.dataset.generated);
  await action();
  await on.waitForFunction((old) => document.documentElement.dataset.generated !== old, before);
}

/** Type a request into the fields and wait for its sheet. */
async function request({ digits, count, seed }, on = page) {
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
async function saved(
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
function framesOf(numbers, on) {
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

const framesOfPython = (name) => readFileSync(join(folder, `${name}.bin`));

/** Run a cgan-run command of the page, and return the bytes of all images. */
function generatedBy(command) {
  const output = join(folder, "command.npy");
  const words = ["-m", "cgan_runtime", ...command.split(" ").slice(1), "--output", output];
  const result = spawnSync(PYTHON, words, { encoding: "utf8" });
  assert.equal(result.status, 0, result.stderr);
  const content = readFileSync(output);
  return content.subarray(10 + content.readUInt16LE(8)); // NumPy's format 1.0: the header's length
}

/** Return whether images are those of one frame of a walk of the Python runtime. */
function isFrame(images, name, frame) {
  const walk = framesOfPython(name);
  return walk.subarray(frame * images.length, (frame + 1) * images.length).equals(
    Buffer.from(images),
  );
}

const linkOf = ({ digits, count, seed, to, sharing }, frame) =>
  `#digits=${digits}&count=${count}&seed=${seed}${sharing ? "&noise=same" : ""}` +
  (to === undefined ? "" : `&to=${to}&frame=${frame}`);

/** Return the number of pixels that differ from the Python runtime, and the max pixel error. */
function difference(images, name) {
  const expected = readFileSync(join(folder, `${name}.bin`));
  assert.equal(images.length, expected.length);
  const errors = expected.map((value, i) => Math.abs(value - images[i]));
  return { pixels: errors.filter(Boolean).length, max: errors.reduce((a, b) => Math.max(a, b), 0) };
}

async function open(name, on = page) {
  await on.locator("#file").setInputFiles(join(folder, name));
}

async function selectProvider(name, on) {
  await on.locator("details").evaluate((settings) => (settings.open = true));
  await on.locator("#provider").selectOption(name);
}

const text = (id, on = page) => on.locator(`#${id}`).textContent();

test("the first visit shows images without any input", async () => {
  const foreground = await page.evaluate(() => {
    const canvas = document.getElementById("sheet");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, i) => i % 4 === 3 && value > 127).length;
  });
  assert.ok(foreground > 5000, `${foreground} foreground pixels`);
  assert.match(await text("latency"), /^100 images in [0-9.]+ ms, [0-9]+ µs each$/);
  assert.equal(await text("self-test"), "Self-test passed");
  assert.equal(await text("runs-on"), "WebAssembly");
});

for (const { name, digits, count, seed } of REQUESTS) {
  test(`the images equal those of cgan-run: ${count} of ${digits}, seed ${seed}`, async () => {
    await request({ digits, count, seed });
    const { images, columns, name: file } = await saved(digits.length * count);
    assert.deepEqual(difference(images, name), EQUAL);
    assert.equal(columns, digits.length > 1 ? digits.length : Math.ceil(Math.sqrt(count)));
    assert.equal(file, `${digits.length > 1 ? "digits" : "digit"}-${digits}-seed-${seed}.png`);
    const option = digits.length > 1 ? "--digits" : "--digit";
    const command = `cgan-run ${option} ${digits} --count ${count} --seed ${seed}`;
    assert.equal((await text("command")).trim(), command);
  });
}

test("the saved images are those on the screen", async () => {
  await request(REQUESTS[1]);
  const [width, opacity] = await page.evaluate(() => {
    const canvas = document.getElementById("sheet");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return [canvas.width, [...data.filter((_, i) => i % 4 === 3)]];
  });
  const { images, columns } = await saved(20);
  assert.equal(width, columns * SIZE);
  images.forEach((value, i) => {
    const [x, y, image] = [i % SIZE, Math.floor(i / SIZE) % SIZE, Math.floor(i / SIZE / SIZE)];
    const top = Math.floor(image / columns) * SIZE + y;
    assert.equal(opacity[top * width + (image % columns) * SIZE + x], value);
  });
});

test("a link shows the digits in its address", async () => {
  const other = await visit("#digits=2026&count=5&seed=0");
  assert.deepEqual(difference((await saved(20, other)).images, "year"), EQUAL);
  const follow = () => other.evaluate(() => (location.hash = "#digits=9&count=1&seed=7"));
  await waitForSheet(follow, other);
  assert.deepEqual(difference((await saved(1, other)).images, "nine"), EQUAL);
  await other.close();
});

test("invalid parts of an address keep their defaults", async () => {
  const other = await visit("#digits=x&count=-1&seed=abc&to=&frame=lots&noise=other");
  assert.equal(await text("error", other), "");
  assert.match(await text("latency", other), /^100 images/);
  await other.close();
});

test("a digit can be selected with the mouse", async () => {
  await request(REQUESTS[1]);
  await waitForSheet(() => page.getByRole("radio", { name: "3" }).check());
  assert.equal(await page.locator("#number").inputValue(), "3");
  assert.match(await text("latency"), /^5 images/);
});

test("a new seed generates other digits", async () => {
  await request(REQUESTS[0]);
  await waitForSheet(() => page.getByRole("button", { name: "New" }).click());
  assert.notEqual(await page.locator("#seed").inputValue(), "7");
  assert.ok(difference((await saved(1)).images, "nine").pixels > 0);
});

for (const [id, value, pattern] of [
  ["seed", `${2n ** 64n}`, /^the seed must be .* to 2\^64 - 1, got "184.*"; type another seed$/],
  ["seed", "-1", /^the seed must be/],
  ["count", "0", /^a sheet holds at most 1000 images; choose a count from 1 to 1000$/],
  ["count", "1001", /^a sheet holds at most 1000 images/],
  ["number", "20x6", /^"x" is not a digit; type a number such as 2026$/],
]) {
  test(`${id} ${value} shows an error and keeps the sheet`, async () => {
    await request(REQUESTS[0]);
    await page.locator(`#${id}`).fill(value);
    await page.locator("#error:not(:empty)").waitFor();
    assert.match(await text("error"), pattern);
    assert.equal(await page.locator(`#${id}`).getAttribute("aria-invalid"), "true");
    assert.deepEqual(difference((await saved(1)).images, "nine"), EQUAL);
    await request(REQUESTS[0]);
    assert.equal(await text("error"), "");
  });
}

test("the keyboard is enough to walk, to type a number and to save", async () => {
  const other = await visit();
  const press = (key) => other.keyboard.press(key);
  const focused = () =>
    other.evaluate(() => document.activeElement.id || document.activeElement.type);
  await press("Tab");
  assert.equal(await focused(), "play");
  await waitForSheet(() => press("Enter"), other);
  assert.equal(await text("play", other), "Pause walk");
  await press("Space");
  assert.equal(await text("play", other), "Play walk");
  await press("Tab");
  assert.equal(await focused(), "frame");
  await waitForSheet(() => press("End"), other);
  await waitForSheet(() => press("Home"), other);
  await press("Tab");
  assert.equal(await focused(), "radio");
  await waitForSheet(() => press("ArrowRight"), other); // from All to 0
  assert.match(await text("latency", other), /^10 images/);
  await press("Tab");
  assert.equal(await focused(), "same-noise");
  await waitForSheet(() => press("Space"), other);
  await waitForSheet(() => press("Space"), other);
  await press("Tab");
  assert.equal(await focused(), "number");
  await other.keyboard.type("2026"); // replaces the old text, which Tab selects
  await press("Tab");
  await waitForSheet(() => other.keyboard.type("0"), other);
  await press("Tab");
  assert.equal(await focused(), "new-seed");
  await press("Tab");
  assert.equal(await focused(), "to");
  await press("Tab");
  await other.keyboard.type("5");
  await other.waitForFunction(() => location.hash === "#digits=2026&count=5&seed=0");
  await press("Tab");
  assert.equal(await focused(), "save");
  const { images } = await saved(20, other, () => press("Enter"));
  assert.deepEqual(difference(images, "year"), EQUAL);
  for (const id of ["copy-link", "copy-command", "SUMMARY"]) {
    await press("Tab");
    const element = () => document.activeElement.id || document.activeElement.tagName;
    assert.equal(await other.evaluate(element), id);
  }
  await press("Enter");
  await press("Tab");
  assert.equal(await focused(), "provider");
  await other.close();
});

test("the focus is visible, also on a digit", async () => {
  const other = await visit();
  await other.keyboard.press("Tab");
  const outlines = () =>
    other.evaluate(() => {
      const label = document.activeElement.closest("label") ?? document.activeElement;
      return [label, document.activeElement].map((each) => getComputedStyle(each).outlineStyle);
    });
  assert.ok((await outlines()).includes("solid"));
  await other.close();
});

test("the same noise under all digits generates the images of Python", async () => {
  const other = await visit("#digits=9&count=10&seed=3");
  const box = other.getByRole("checkbox", { name: "Same noise for all digits" });
  await waitForSheet(() => box.check(), other); // a single digit shares its noise with no other
  const { images, name } = await saved(100, other);
  assert.deepEqual(difference(images, "same-noise"), EQUAL);
  assert.equal(name, "digits-0123456789-same-noise-seed-3.png");
  const command = "cgan-run --digits 0123456789 --count 10 --seed 3 --same-noise";
  assert.equal(await text("command", other), command);
  await other.waitForFunction((link) => location.hash === link, linkOf(SAME_NOISE));
  await waitForSheet(() => box.uncheck(), other);
  assert.notDeepEqual((await saved(100, other)).images, images);
  await other.close();
});

for (const walk of WALKS) {
  test(`the frames of a walk equal those of Python: ${walk.name}`, async () => {
    const other = await visit(linkOf(walk, 19));
    const { images } = await saved(walk.digits.length * walk.count, other);
    assert.ok(isFrame(images, walk.name, 19), "the frame of the link");
    const numbers = [...Array(FRAMES).keys()];
    const sheets = await framesOf(numbers, other);
    const wrong = numbers.filter((frame) => !isFrame(sheets[frame], walk.name, frame));
    assert.deepEqual(wrong, []);
    assert.ok(!isFrame(sheets[0], walk.name, FRAMES - 1));
    assert.ok(generatedBy(await text("command", other)).equals(framesOfPython(walk.name)));
    await other.close();
  });
}

test("the walk plays until it is paused, and the link restores the frame", async () => {
  const [walk] = WALKS;
  const other = await visit(linkOf(walk, 46));
  const frame = () => other.locator("#frame").inputValue().then(Number);
  const play = other.getByRole("button", { name: "Play walk" });
  await play.click();
  for (const passed of [47, 44]) {
    await other.waitForFunction((n) => document.getElementById("frame").value == n, passed);
  }
  assert.match(await text("command", other), /^cgan-run --digits 2026 --count 3 --walk 8:9/);
  await waitForSheet(() => other.getByRole("button", { name: "Pause walk" }).click(), other);
  const paused = await frame();
  await other.waitForFunction((link) => location.hash === link, linkOf(walk, paused));
  assert.ok(isFrame((await saved(12, other)).images, walk.name, paused));
  assert.equal(await frame(), paused);
  await play.click();
  await waitForSheet(() => other.locator("#frame").fill("10"), other);
  await play.waitFor(); // the slider pauses the walk
  assert.equal(await frame(), 10);
  await other.close();
});

test("a link that is followed pauses the walk", async () => {
  const other = await visit();
  await waitForSheet(() => other.locator("#play").click(), other);
  await other.evaluate((hash) => (location.hash = hash), linkOf(REQUESTS[0]));
  await other.waitForFunction(() => document.getElementById("play").textContent === "Play walk");
  await other.waitForFunction(() => document.getElementById("frame").value === "0");
  assert.deepEqual(difference((await saved(1, other)).images, "nine"), EQUAL);
  await other.close();
});

test("a visitor who prefers reduced motion gets a few still images", async () => {
  const other = await visit("#digits=9&count=1&seed=7");
  await other.emulateMedia({ reducedMotion: "reduce" });
  assert.equal(await other.locator("#frame").inputValue(), "0"); // nothing moves by itself
  const start = performance.now();
  await other.locator("#play").click();
  for (const frame of ["8", "16"]) {
    await other.waitForFunction((value) => document.getElementById("frame").value === value, frame);
  }
  assert.ok(performance.now() - start > 900);
  await other.close();
});

test("a copied link restores the sheet, and a copied command is the one shown", async () => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const [, walk] = WALKS;
  const other = await visit(linkOf(walk, 19));
  const copied = () => other.evaluate(() => navigator.clipboard.readText());
  await other.getByRole("button", { name: "Copy link" }).click();
  await other.getByRole("button", { name: "Copied" }).waitFor();
  const link = await copied();
  assert.equal(link, address + linkOf(walk, 19));
  await other.getByRole("button", { name: "Copy command" }).click();
  const isReplaced = (old) => navigator.clipboard.readText().then((now) => now !== old);
  await other.waitForFunction(isReplaced, link);
  const command = "cgan-run --digits 0123456789 --count 2 --walk 1:5 --frames 48 --same-noise";
  assert.equal(await copied(), command);
  assert.equal(await text("command", other), command);
  await other.close();
});

test("the tutorial is linked", async () => {
  const other = await visit();
  const link = other.getByRole("link", { name: "How a conditional GAN works" });
  const tutorial = await other.evaluate(
    async (url) => (await fetch(url)).text(),
    await link.getAttribute("href"),
  );
  assert.ok(tutorial.includes("A conditional GAN in thirty minutes"));
  await other.close();
});

for (const [name, pattern] of [
  ["text.onnx", /^text\.onnx is not an ONNX model, or is truncated or damaged \(/],
  ["empty.onnx", /^empty\.onnx is empty; copy or export it again$/],
  ["truncated.onnx", /^truncated\.onnx is not an ONNX model, or is truncated/],
  ["damaged.onnx", /^damaged\.onnx was changed after its export/],
  [
    "swapped.onnx",
    /^swapped\.onnx was changed after its export: the SHA-256 of its content differs/,
  ],
  [
    "loop.onnx",
    /^loop\.onnx contains something that cgan-export does not write \(unknown field 6\);/,
  ],
  ["foreign.onnx", /^foreign\.onnx is an ONNX model, but not one that cgan-export wrote/],
  ["newer.onnx", /^newer\.onnx follows model contract 2, .*; use a newer version of the page$/],
  [
    "invalid.onnx",
    /^invalid\.onnx has malformed contract metadata \(cgan\.golden\.seed is missing\)/,
  ],
  [
    "renamed.onnx",
    /^renamed\.onnx has malformed contract metadata \(the model has no output 'image'/,
  ],
  [
    "retyped.onnx",
    /^retyped\.onnx breaks the model contract: its input is .*label tensor\(int32\)/,
  ],
  ["few.onnx", /^few\.onnx can be opened, but not run \(/],
  ["line\n\x1b[31m.onnx", /^line\\n\\x1b\[31m\.onnx is empty/],
]) {
  test(`${name} shows an error and keeps the sheet`, async () => {
    await request(REQUESTS[0]);
    await open(name);
    await page.locator("#error:not(:empty)").waitFor();
    assert.match(await text("error"), pattern);
    assert.ok(!(await text("error")).includes("\n"));
    assert.match(await text("model"), /^digits\.onnx/);
    assert.deepEqual(difference((await saved(1)).images, "nine"), EQUAL);
    await request(REQUESTS[1]); // the model still works
    assert.equal(await text("error"), "");
  });
}

test("a file that is too large is rejected without reading it", async () => {
  await request(REQUESTS[0]);
  await page.evaluate(
    (bytes) => {
      const file = new File([new Uint8Array(1)], "large.onnx");
      Object.defineProperty(file, "size", { value: bytes });
      file.arrayBuffer = () => Promise.reject(new Error("it was read"));
      const event = new Event("drop", { cancelable: true });
      dispatchEvent(Object.assign(event, { dataTransfer: { files: [file] } }));
    },
    2 ** 27 + 1,
  );
  await page.locator("#error:not(:empty)").waitFor();
  const message = "large.onnx is larger than the limit of 134,217,728 bytes; open another file";
  assert.equal(await text("error"), message);
  await request(REQUESTS[1]);
});

test("class names with control characters are shown on one line", async () => {
  const other = await visit("#digits=2026&count=1&seed=1");
  await waitForSheet(() => open("hostile-names.onnx", other), other);
  const labels = await other.locator("#classes label").allTextContents();
  assert.deepEqual(labels.slice(0, 4), ["All", "a\\n\\x1b[31mb", "caf\u00e9", '" "']);
  await waitForSheet(() => other.locator("#classes label").nth(1).click(), other);
  const option = "--label $'a\\u000a\\u001b[31mb'";
  assert.ok((await text("command", other)).includes(option), await text("command", other));
  assert.equal((await saved(1, other)).name, "a-31mb-seed-1.png");
  await other.close();
});

test("another number of images than labels is reported", async () => {
  const message = await page.evaluate(async () => {
    const { Generator } = await import("./generator.js");
    const session = { run: async () => ({ type: "uint8", dims: [2, 1, 28, 28], data: [] }) };
    const info = { channels: 1, height: 28, width: 28 };
    const generator = new Generator(new Uint8Array(), "m.onnx", info, session);
    return generator.generate(new Float32Array(3), [0, 1, 2]).catch((error) => error.message);
  });
  const expected = "returned uint8 [2, 1, 28, 28] for 3 labels instead of uint8 [3, 1, 28, 28]";
  assert.equal(message, `m.onnx ${expected}; export it again`);
});

test("a model of very many classes and long names is shown in part", async () => {
  const other = await visit("#digits=2026&count=1&seed=1");
  await waitForSheet(() => open("many-names.onnx", other), other);
  assert.equal(await other.locator("#classes label").count(), 1001); // and "All"
  assert.match(await text("latency", other), /^1000 images/);
  const longest = await other.locator("#classes label").nth(1).textContent();
  assert.equal(longest, `${"é".repeat(100)}…`);
  await waitForSheet(() => other.locator("#classes label").nth(1).click(), other);
  assert.ok(await other.locator("#command").isHidden());
  await waitForSheet(() => other.locator("#classes label").nth(2).click(), other);
  assert.ok(await other.locator("#command").isVisible());
  await other.close();
});

test("the page works without a secure context", async () => {
  const other = await context.newPage();
  await other.addInitScript(() => {
    Object.defineProperty(crypto, "subtle", { value: undefined });
    Object.defineProperty(navigator, "serviceWorker", { value: undefined });
  });
  await other.goto(`${address}#digits=9&count=1&seed=7`);
  await other.locator("#save:enabled").waitFor();
  assert.deepEqual(difference((await saved(1, other)).images, "nine"), EQUAL);
  await other.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  await other.getByRole("button", { name: "Copy command" }).click();
  await other.locator("#error:not(:empty)").waitFor();
  const pattern = /copy it from here: cgan-run --digit 9 --count 1 --seed 7$/;
  assert.match(await text("error", other), pattern);
  await open("swapped.onnx", other);
  await other.getByText("swapped.onnx was changed").waitFor();
  assert.match(await text("error", other), /^swapped\.onnx was changed after its export/);
  await other.close();
});

test("the page works on a host that knows few file names", async () => {
  // The types of a stock nginx before 1.21.
  const types = { ".html": "text/html", ".css": "text/css", ".js": "application/javascript" };
  const other = await serve(DIST, 0, "/", {}, { ...types, ".png": "image/png" });
  const opened = await visit("#digits=9&count=1&seed=7", context, addressOf(other));
  assert.deepEqual(difference((await saved(1, opened)).images, "nine"), EQUAL);
  assert.equal(await text("error", opened), "");
  await opened.close();
  closeServer(other);
});

test("a page whose modules do not start says so", async () => {
  const other = await serve(DIST, 0, "/", {}, { ".html": "text/html", ".css": "text/css" });
  for (const [url, pattern] of [
    [addressOf(other), /^a part of the page did not load, .* sends \.js files as text\/javascript/],
    [`file://${DIST}index.html`, /^a browser does not run the page from a file; run 'make web'/],
  ]) {
    const opened = await context.newPage();
    await opened.goto(url);
    await opened.locator("#error:not(:empty)").waitFor();
    assert.match(await text("error", opened), pattern);
    assert.equal(await text("latency", opened), "no images yet");
    await opened.close();
  }
  closeServer(other);
});

test("the documented size of the page is current", () => {
  const document = new URL("../../docs/how-to/web-page.md", import.meta.url);
  const [, ...stated] = /\| the page, about \| ([0-9,]+) \| ([0-9,]+) \|/.exec(
    readFileSync(document, "utf8"),
  );
  stated.forEach((text, i) => {
    const ratio = sizes().page[i] / Number(text.replaceAll(",", ""));
    assert.ok(Math.abs(ratio - 1) < 0.02, `${sizes().page[i]} bytes`);
  });
});

test("the licenses of everything in the page are linked", async () => {
  const other = await visit();
  const href = await other.getByRole("link", { name: "Licenses" }).getAttribute("href");
  const licenses = await other.evaluate(async (url) => (await fetch(url)).text(), href);
  for (const part of [
    "cgan\n",
    "onnxruntime-web 1.",
    "third-party notices",
    "Copyright (c) Microsoft",
  ]) {
    assert.ok(licenses.includes(part), part);
  }
  assert.ok(licenses.length > 300_000);
  await other.close();
});

test("the service worker stores and serves only files of the build", async () => {
  const hijacked = new Set();
  const host = createServer((request, response) => {
    const path = request.url.slice(1).split("?")[0] || "index.html";
    const extension = path.split(".").at(-1);
    const types = { js: "text/javascript", html: "text/html", css: "text/css" };
    const isHijacked = [...hijacked].some((name) => path.endsWith(name));
    const body = isHijacked ? "<title>Log in</title>" : readFileSync(join(DIST, path));
    response.writeHead(200, { "Content-Type": types[extension] ?? "application/octet-stream" });
    response.end(body);
  });
  await new Promise((resolve) => host.listen(0, "127.0.0.1", resolve));
  hijacked.add("icon.png"); // the page starts without it
  const first = await context.newPage();
  await first.goto(addressOf(host));
  await first.locator("#save:enabled").waitFor();
  await first.waitForFunction(async () => {
    const worker = await navigator.serviceWorker.getRegistration();
    return !worker || !(worker.installing || worker.waiting || worker.active);
  });
  hijacked.clear();
  await first.close();
  const second = await visit("#digits=9&count=1&seed=7", context, addressOf(host));
  await second.evaluate(async () => {
    const cache = await caches.open(
      (await caches.keys()).find((name) => name.includes(location.host)),
    );
    await cache.put(
      "sheet.js",
      new Response("broken", { headers: { "Content-Type": "text/javascript" } }),
    );
  });
  await second.close();
  hijacked.add(".wasm"); // intact in the cache
  const third = await visit("#digits=9&count=1&seed=7", context, addressOf(host));
  assert.deepEqual(difference((await saved(1, third)).images, "nine"), EQUAL);
  assert.equal(await third.evaluate(async () => (await fetch("sheet.js")).status), 200);
  await third.close();
  closeServer(host);
});

test("the visitor can open a model with class names and return to the shipped one", async () => {
  const other = await visit("#digits=2026&count=1&seed=1");
  await waitForSheet(() => open("garments.onnx", other), other);
  assert.match(await text("model", other), /^garments\.onnx, \d+ kB, int8, mnist$/);
  assert.ok(await other.locator("#number-field").isHidden());
  await waitForSheet(() => other.getByRole("radio", { name: "Ankle boot" }).check(), other);
  const command = "cgan-run --model garments.onnx --label 'Ankle boot' --count 1 --seed 1";
  assert.equal((await text("command", other)).trim(), command);
  const { images, name } = await saved(1, other);
  assert.deepEqual(difference(images, "own-garments"), EQUAL);
  assert.equal(name, "ankle-boot-seed-1.png");
  const back = other.getByRole("button", { name: "Back to the digits" });
  await waitForSheet(() => back.click(), other);
  assert.match(await text("model", other), /^digits\.onnx/);
  assert.ok(await other.locator("#number-field").isVisible());
  await other.close();
});

for (const [name, shape] of [
  ["portrait", { size: [28, 20], scale: 4 }],
  ["tall", { size: [128, 8], scale: 1 }],
]) {
  test(`a color model of ${shape.size.join(" x ")} pixels generates the images of cgan-run`, async () => {
    const other = await visit();
    await other.emulateMedia({ colorScheme: "dark" });
    await waitForSheet(() => open(`${name}.onnx`, other), other);
    assert.equal(await text("self-test", other), "Self-test passed");
    assert.match(await text("model", other), new RegExp(`^${name}\\.onnx, \\d+ kB, fp32$`));
    assert.equal(await text("title", other), "Generated images");
    const { images } = await saved(30, other, undefined, shape);
    assert.deepEqual(difference(images, `own-${name}`), EQUAL);
    const corner = await other.evaluate(() => {
      const context = document.getElementById("sheet").getContext("2d");
      return [...context.getImageData(0, 0, 1, 1).data];
    });
    const plane = shape.size[0] * shape.size[1];
    assert.deepEqual(corner, [images[0], images[plane], images[2 * plane], 255]);
    const filter = () =>
      other.evaluate(() => getComputedStyle(document.getElementById("sheet")).filter);
    assert.equal(await filter(), "none");
    await waitForSheet(() => open("garments.onnx", other), other);
    assert.equal(await filter(), "invert(0.92)");
    await other.close();
  });
}

test("a float model has a max pixel error of 1", async (t) => {
  const other = await visit();
  await waitForSheet(() => open("float.onnx", other), other);
  const { pixels, max } = difference((await saved(100, other)).images, "own-float");
  t.diagnostic(`${pixels} pixels differ, max error ${max}`);
  assert.ok(max <= 1);
  await other.close();
});

test("wrong images are reported", async () => {
  const other = await visit();
  await waitForSheet(() => open("wrong.onnx", other), other);
  assert.match(await text("self-test", other), /^Self-test failed: .* \(max pixel error 255\)$/);
  await other.close();
});

test("an int8 model that is not bit-exact may have a max pixel error of 8", async () => {
  const other = await visit();
  for (const [name, result] of [
    ["near", "Self-test passed"],
    ["off", "Self-test failed: this device generates wrong images"],
  ]) {
    await waitForSheet(() => open(`${name}.onnx`, other), other);
    assert.equal(await text("self-test", other), `${result} (max pixel error 8)`);
  }
  await other.close();
});

test("a missing provider shows an error and WebAssembly stays", async () => {
  await request(REQUESTS[0]);
  await selectProvider("webgpu", page);
  await page.locator("#error:not(:empty)").waitFor();
  assert.equal(await text("error"), "WebGPU is not available in this browser; choose WebAssembly");
  assert.equal(await page.locator("#provider").inputValue(), "wasm");
  assert.deepEqual(difference((await saved(1)).images, "nine"), EQUAL);
});

test("on a phone everything fits and every control is large enough for a finger", async () => {
  const other = await visit("#digits=31415926535897932384&count=9&seed=18446744073709551615");
  await other.setViewportSize({ width: 320, height: 568 });
  await other.locator("summary").click();
  const width = await other.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 320, `${width} pixels wide`);
  const selector = "button:not([hidden]), .choice, summary, select, input:not([type=file])";
  const small = await other.evaluate(
    (controls) =>
      [...document.querySelectorAll(controls)]
        .map((control) => control.closest(".choice") ?? control)
        .filter((control) => control.getBoundingClientRect().height < 43)
        .map((control) => control.id),
    selector,
  );
  assert.deepEqual(small, []);
  await other.close();
});

test("a phone shows the drawing first, and the digits without scrolling", async () => {
  const other = await visit();
  await other.setViewportSize({ width: 390, height: 664 });
  const bottom = (id) =>
    other.evaluate((each) => document.getElementById(each).getBoundingClientRect().bottom, id);
  const bottoms = [];
  for (const id of ["sheet", "play", "classes", "save"]) bottoms.push(await bottom(id));
  assert.deepEqual(bottoms, [...bottoms].sort((a, b) => a - b));
  assert.ok(bottoms[2] <= 664, String(bottoms));
  assert.ok(!(await other.locator("#provider").isVisible()));
  await other.close();
});

test("the page follows the color scheme of the visitor", async () => {
  const colors = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    colors.push(
      await page.evaluate(() => {
        const { backgroundColor, color } = getComputedStyle(document.body);
        return [backgroundColor, color].map((text) => Number(/\d+/.exec(text)[0]));
      }),
    );
  }
  const [[lightBackground, darkText], [darkBackground, lightText]] = colors;
  assert.ok(lightBackground - darkText > 150 && lightText - darkBackground > 150, String(colors));
});

test("every control has an accessible name", async () => {
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("input:not([hidden]), select, button, canvas")]
      .filter(
        ({ ariaLabel, labels, textContent }) =>
          !(ariaLabel || labels?.[0]?.textContent.trim() || textContent.trim()),
      )
      .map((control) => control.id),
  );
  assert.deepEqual(nameless, []);
});

test("only the small build of onnxruntime-web is fetched", () => {
  const vendor = context.requests
    .map((request) => request.url())
    .filter((url) => url.includes("/vendor/"));
  const names = new Set(vendor.map((url) => url.split("/").at(-1)));
  const small = ["ort.wasm.min.js", "ort-wasm-simd-threaded.js", "ort-wasm-simd-threaded.wasm"];
  assert.deepEqual([...names].sort(), small.sort());
});

test("no page and no service worker sends a request to another host", async () => {
  const web = context.requests.map((request) => new URL(request.url()));
  const hosts = new Set(web.filter(({ origin }) => origin !== "null").map((url) => url.hostname));
  assert.deepEqual([...hosts], [new URL(address).hostname]);
  assert.ok(
    context.requests.some((request) => request.serviceWorker()),
    "no request of a service worker was recorded",
  );
  assert.deepEqual(page.problems, []);
});

test("the policy blocks other hosts, and a page without the policy reaches them", async () => {
  const reach = (url) => {
    const blocked = [];
    addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
    const image = new Promise((resolve) => {
      Object.assign(new Image(), { onload: resolve, onerror: resolve, src: `${url}/a.png` });
    });
    const attempts = [fetch(`${url}/a`), import(`${url}/a.mjs`), image];
    return Promise.allSettled(attempts).then(() => [...new Set(blocked)].sort());
  };
  const isBlocked = (request) => /csp/i.test(request.failure()?.errorText ?? "");
  const sent = () =>
    context.requests.filter((each) => each.url().startsWith(OTHER_HOST) && !isBlocked(each)).length;
  const other = await visit();
  assert.deepEqual(await other.evaluate(reach, OTHER_HOST), [
    "connect-src",
    "img-src",
    "script-src-elem",
  ]);
  assert.equal(sent(), 0);
  await other.close();
  const unprotected = createServer((_, response) => {
    response.writeHead(200, { "Content-Type": "text/html" }).end("<title>no policy</title>");
  });
  await new Promise((resolve) => unprotected.listen(0, "127.0.0.1", resolve));
  const plain = await context.newPage();
  await plain.goto(`http://127.0.0.1:${unprotected.address().port}/`);
  assert.deepEqual(await plain.evaluate(reach, OTHER_HOST), []);
  assert.equal(sent(), 3);
  await plain.close();
  unprotected.close();
});

test("the page works offline in a new window after the first visit", async () => {
  const { port } = server.address();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  try {
    const other = await visit("#digits=2026&count=5&seed=0");
    assert.deepEqual(difference((await saved(20, other)).images, "year"), EQUAL);
    assert.deepEqual(other.problems, []);
    await assert.rejects(other.evaluate(() => fetch("not-in-the-cache")));
    await other.close();
  } finally {
    await host(port);
  }
});

test("a new build replaces the old one and keeps its runtime", async () => {
  const other = await visit();
  const cached = () =>
    other.evaluate(async () => {
      const names = await caches.keys();
      const urls = (await (await caches.open(names[0])).keys()).map(({ url }) => url);
      return { names, runtime: urls.filter((url) => url.endsWith(".wasm")).length };
    });
  const old = await cached();
  assert.equal(old.names.length, 1);
  assert.equal(old.runtime, 1);
  const path = join(DIST, "service-worker.js");
  const worker = readFileSync(path, "utf8");
  writeFileSync(path, worker.replace(/BUILD = "\w+"/, 'BUILD = "newer"'));
  await other.evaluate(async () => (await navigator.serviceWorker.ready).update());
  await other.waitForFunction(async () => {
    const names = await caches.keys();
    return names.length === 1 && names[0].endsWith("newer");
  });
  assert.equal((await cached()).runtime, 1);
  await other.close();
});

test("software WebGPU can be selected, can fail, and can be compared", async (t) => {
  const withGpu = await launch(SOFTWARE_GPU, join(folder, "profile-gpu"));
  const selecting = await visit("#digits=9&count=1&seed=7", withGpu);
  // A software adapter does not count as a GPU.
  assert.match(await text("runs-on", selecting), /^WebAssembly/);
  await waitForSheet(() => selectProvider("webgpu", selecting), selecting);
  assert.equal(await text("error", selecting), "");
  assert.match(await text("runs-on", selecting), /^WebGPU/);
  for (const { name, digits, count, seed } of [REQUESTS[0], REQUESTS[2]]) {
    await request({ digits, count, seed }, selecting);
    const { images } = await saved(digits.length * count, selecting);
    const { pixels, max } = difference(images, name);
    t.diagnostic(`WebGPU, ${name}: ${pixels} pixels differ, max error ${max}`);
    assert.ok(max <= 1);
  }

  await selecting.evaluate(() => {
    GPUQueue.prototype.submit = () => {
      throw new Error("the GPU is lost");
    };
  });
  await waitForSheet(() => selecting.locator("#seed").fill("1"), selecting);
  assert.equal(await text("error", selecting), "WebGPU failed; the page now uses WebAssembly");
  assert.match(await text("runs-on", selecting), /^WebAssembly/);
  await request(REQUESTS[1], selecting);
  assert.deepEqual(difference((await saved(20, selecting)).images, "year"), EQUAL);
  await selecting.close();

  const automatic = await withGpu.newPage();
  await automatic.addInitScript(() => {
    Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false });
  });
  await automatic.goto(address);
  await automatic.getByText("The page now works offline.").waitFor();
  const pattern = /^WebAssembly; golden sample in [0-9.]+ ms, with WebGPU in [0-9.]+/;
  assert.match(await text("runs-on", automatic), pattern);
  await waitForSheet(() => open("wrong.onnx", automatic), automatic);
  assert.match(await text("self-test", automatic), /^Self-test failed/);
  await selectProvider("webgpu", automatic);
  await automatic.locator("#error:not(:empty)").waitFor();
  assert.match(await text("error", automatic), /^WebGPU generates wrong images .*error 255\)/);
  await withGpu.close();
});
