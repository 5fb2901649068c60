/** The page in a real Chromium, against the Python runtime. CGAN_PYTHON names a Python that has it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { DIST, build } from "../build.mjs";
import { serve } from "../serve.mjs";
import { SOFTWARE_GPU, WITHOUT_GPU, launch } from "./chromium.mjs";
import { readSheet } from "./png.mjs";

const REFERENCE = fileURLToPath(new URL("../../tests/web/reference.py", import.meta.url));
const FOREIGN = "http://foreign.invalid";
const BASE = "/in/a/folder/"; // as on a host that gives a project a folder
const SIZE = 28;
const SCALE = 4; // of the saved PNG

/** Labels of a number's digits, count of each, as cgan-run lays them out. */
const labelsOf = (digits, count) => [...digits.repeat(count)].map(Number);
const DRAWINGS = [
  { name: "nine", digits: "9", count: 1, seed: "7" },
  { name: "year", digits: "2026", count: 5, seed: "0" },
  { name: "all", digits: "0123456789", count: 30, seed: "123456789" },
  { name: "last-seed", digits: "31415926535897932384", count: 3, seed: "18446744073709551615" },
  { name: "thousand", digits: "8", count: 1000, seed: "5" },
];
const OWN = [
  { name: "own-garments", model: "garments.onnx", labels: [9], seed: "1" },
  { name: "own-float", model: "float.onnx", labels: labelsOf("0123456789", 10), seed: "1" },
];

let folder, server, address, context, page;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "cgan-web-"));
  const asked = DRAWINGS.map(({ name, digits, count, seed }) => {
    return { name, model: null, labels: labelsOf(digits, count), seed };
  });
  // Seeds go as numbers, which JSON does not limit and Python reads whole.
  const drawings = JSON.stringify([...asked, ...OWN]).replace(/"seed":"(\d+)"/g, '"seed":$1');
  const python = process.env.CGAN_PYTHON ?? "python3";
  const done = spawnSync(python, [REFERENCE, folder], { input: drawings, encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
  build();
  await host();
  context = await launch(WITHOUT_GPU, join(folder, "profile"));
  page = await visit();
});

after(async () => {
  await context?.close();
  server?.close();
  // Chromium's last processes may still write when it says that it is closed.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

async function host(port = 0) {
  server = await serve(DIST, port, BASE);
  address = `http://127.0.0.1:${server.address().port}${BASE}`;
}

/** Open the page, and wait until it has drawn and can do without the network. */
async function visit(where = "", within = context) {
  const opened = await within.newPage();
  opened.problems = [];
  opened.on("pageerror", (error) => opened.problems.push(error.message));
  opened.on("console", (each) => {
    if (each.type() === "error") opened.problems.push(each.text());
  });
  await opened.goto(address + where);
  await opened.getByText("Works offline now.").waitFor();
  return opened;
}

/** Do something, and wait for the drawing that it asks for. */
async function drawnAfter(action, on = page) {
  const before = await on.evaluate(() => document.documentElement.dataset.drawn);
  await action();
  await on.waitForFunction((old) => document.documentElement.dataset.drawn !== old, before);
}

async function ask({ digits, count, seed }, on = page) {
  await on.locator("#count").fill("1");
  for (const [id, value] of Object.entries({ number: digits, count: String(count), seed })) {
    await on.locator(`#${id}`).fill(value);
  }
  await on.waitForFunction(
    ([number, wanted, from]) =>
      location.hash.startsWith(`#digits=${number}&count=${wanted}&seed=${from}`),
    [digits, count, seed],
  );
}

/** Press Save PNG and return the images in it, uint8 [images, 28, 28], and its name. */
async function saved(count, on = page, press = () => on.locator("#save").click()) {
  const [download] = await Promise.all([on.waitForEvent("download"), press()]);
  const sheet = readSheet(readFileSync(await download.path()), count, SIZE, SCALE);
  return { ...sheet, name: download.suggestedFilename() };
}

/** Return how many bytes differ from the Python runtime's, and by how much at most. */
function difference(images, name) {
  const expected = readFileSync(join(folder, `${name}.bin`));
  assert.equal(images.length, expected.length);
  const off = expected.map((each, at) => Math.abs(each - images[at]));
  return { bytes: off.filter(Boolean).length, most: off.reduce((a, b) => Math.max(a, b), 0) };
}

async function open(name, on = page) {
  await on.locator("#file").setInputFiles(join(folder, name));
}

const text = (id, on = page) => on.locator(`#${id}`).textContent();

test("it draws at the first visit, without being asked", async () => {
  const inked = await page.evaluate(() => {
    const canvas = document.getElementById("sheet");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((each, at) => at % 4 === 3 && each > 127).length;
  });
  assert.ok(inked > 5000, `${inked} pixels of ink`);
  assert.match(await text("latency"), /^100 images in [0-9.]+ ms, [0-9]+ µs each$/);
  assert.match(await text("runs-on"), /^WebAssembly, the model's own sample comes out exactly$/);
});

for (const drawing of DRAWINGS) {
  const { name, digits, count, seed } = drawing;
  test(`the same bytes as the Python runtime: ${count} of ${digits}, seed ${seed}`, async () => {
    await ask(drawing);
    const { images, columns, name: file } = await saved(digits.length * count);
    assert.deepEqual(difference(images, name), { bytes: 0, most: 0 });
    assert.equal(columns, digits.length > 1 ? digits.length : Math.ceil(Math.sqrt(count)));
    assert.equal(file, `${digits.length > 1 ? "digits" : "digit"}-${digits}-seed-${seed}.png`);
    const option = digits.length > 1 ? "--digits" : "--digit";
    const command = `cgan-run ${option} ${digits} --count ${count} --seed ${seed}`;
    assert.equal((await text("command")).trim(), command);
  });
}

test("what is on the screen is what is saved", async () => {
  await ask(DRAWINGS[1]);
  const [width, ink] = await page.evaluate(() => {
    const canvas = document.getElementById("sheet");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return [canvas.width, [...data.filter((_, at) => at % 4 === 3)]];
  });
  const { images, columns } = await saved(20);
  assert.equal(width, columns * SIZE);
  images.forEach((each, at) => {
    const [x, y, image] = [at % SIZE, Math.floor(at / SIZE) % SIZE, Math.floor(at / SIZE / SIZE)];
    const top = Math.floor(image / columns) * SIZE + y;
    assert.equal(ink[top * width + (image % columns) * SIZE + x], each);
  });
});

test("a link shows the digits it was made for", async () => {
  const other = await visit("#digits=2026&count=5&seed=0");
  assert.deepEqual(difference((await saved(20, other)).images, "year"), { bytes: 0, most: 0 });
  await drawnAfter(() => other.evaluate(() => (location.hash = "#digits=9&count=1&seed=7")), other);
  assert.deepEqual(difference((await saved(1, other)).images, "nine"), { bytes: 0, most: 0 });
  await other.close();
});

test("a link typed wrong draws all the same", async () => {
  const other = await visit("#digits=x&count=-1&seed=abc&to=&way=lots");
  assert.equal(await text("error", other), "");
  assert.match(await text("latency", other), /^100 images/);
  await other.close();
});

test("a digit is picked with the mouse", async () => {
  await ask(DRAWINGS[1]);
  await drawnAfter(() => page.getByRole("radio", { name: "3" }).check());
  assert.equal(await page.locator("#number").inputValue(), "3");
  assert.match(await text("latency"), /^5 images/);
});

test("a new seed draws other digits", async () => {
  await ask(DRAWINGS[0]);
  await drawnAfter(() => page.getByRole("button", { name: "New" }).click());
  assert.notEqual(await page.locator("#seed").inputValue(), "7");
  assert.ok(difference((await saved(1)).images, "nine").bytes > 0);
});

for (const [id, value, pattern] of [
  [
    "seed",
    "18446744073709551616",
    /^a seed is a whole number from 0 to 2\^64 - 1; type another one$/,
  ],
  ["seed", "-1", /^a seed is/],
  ["count", "0", /^up to 1000 images are drawn at once; choose a count from 1 to 1000$/],
  ["count", "1001", /^up to 1000 images/],
  ["number", "20x6", /^"x" is not a digit; type a number such as 2026$/],
]) {
  test(`${id} ${value}: one plain line, and the sheet stays`, async () => {
    await ask(DRAWINGS[0]);
    await page.locator(`#${id}`).fill(value);
    await page.locator("#error:not(:empty)").waitFor();
    assert.match(await text("error"), pattern);
    assert.equal(await page.locator(`#${id}`).getAttribute("aria-invalid"), "true");
    assert.deepEqual(difference((await saved(1)).images, "nine"), { bytes: 0, most: 0 });
    await ask(DRAWINGS[0]);
    assert.equal(await text("error"), "");
  });
}

test("with the keyboard alone: type a number, walk, save", async () => {
  const other = await visit();
  const press = (key) => other.keyboard.press(key);
  const focused = () =>
    other.evaluate(() => document.activeElement.id || document.activeElement.type);
  await press("Tab");
  assert.equal(await focused(), "radio");
  await drawnAfter(() => press("ArrowRight"), other); // from All to 0
  assert.match(await text("latency", other), /^10 images/);
  await press("Tab");
  assert.equal(await focused(), "number");
  await other.keyboard.type("2026"); // what was there is selected on arrival
  await press("Tab");
  await other.keyboard.type("5");
  await press("Tab");
  await drawnAfter(() => other.keyboard.type("0"), other);
  await other.waitForFunction(() => location.hash === "#digits=2026&count=5&seed=0");
  await press("Tab");
  assert.equal(await focused(), "new-seed");
  await press("Tab");
  assert.equal(await focused(), "way");
  await drawnAfter(() => press("End"), other);
  await drawnAfter(() => press("Home"), other);
  await press("Tab");
  assert.equal(await focused(), "to");
  await press("Tab");
  assert.equal(await focused(), "save");
  const { images } = await saved(20, other, () => press("Enter"));
  assert.deepEqual(difference(images, "year"), { bytes: 0, most: 0 });
  await other.close();
});

test("the focus can be seen, on a digit too", async () => {
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

test("the slider walks from one seed to the other", async () => {
  const other = await visit("#digits=9&count=1&seed=7");
  await other.locator("#to").fill("1");
  const sheets = [];
  for (const way of [0, 30, 60, 100]) {
    await drawnAfter(async () => {
      await other.locator("#way").fill(String(way === 0 ? 1 : way));
      if (way === 0) await other.locator("#way").fill("0");
    }, other);
    await other.waitForFunction((at) => document.getElementById("way").value === at, String(way));
    sheets.push((await saved(1, other)).images);
  }
  assert.deepEqual(difference(sheets[0], "nine"), { bytes: 0, most: 0 });
  assert.equal(new Set(sheets.map(String)).size, 4);
  await ask({ digits: "9", count: 1, seed: "1" }, other);
  await drawnAfter(() => other.locator("#way").fill("0"), other);
  assert.deepEqual((await saved(1, other)).images, sheets[3]);
  await other.close();
});

for (const [name, pattern] of [
  [
    "text.onnx",
    /^text\.onnx is not an ONNX model, or is truncated; open a file that cgan-export wrote$/,
  ],
  ["empty.onnx", /^empty\.onnx is not an ONNX model, or is truncated/],
  ["truncated.onnx", /^truncated\.onnx is not an ONNX model, or is truncated/],
  ["damaged.onnx", /^damaged\.onnx is damaged, or needs a newer onnxruntime/],
  ["foreign.onnx", /^foreign\.onnx is an ONNX model, but not one that cgan-export wrote/],
  ["newer.onnx", /^newer\.onnx follows model contract 2, this page knows 1/],
  ["malformed.onnx", /^malformed\.onnx has malformed contract metadata/],
  ["renamed.onnx", /^renamed\.onnx has malformed contract metadata \(no output image/],
  ["retyped.onnx", /^retyped\.onnx breaks the model contract: its input is .*label int32/],
]) {
  test(`${name}: one plain line, and what was drawn stays`, async () => {
    await ask(DRAWINGS[0]);
    await open(name);
    await page.locator("#error:not(:empty)").waitFor();
    assert.match(await text("error"), pattern);
    assert.ok(!(await text("error")).includes("\n"));
    assert.match(await text("model"), /^digits\.onnx/);
    assert.deepEqual(difference((await saved(1)).images, "nine"), { bytes: 0, most: 0 });
    await ask(DRAWINGS[1]); // and it draws on
    assert.equal(await text("error"), "");
  });
}

test("a model of one's own, by class names, and back", async () => {
  const other = await visit("#digits=2026&count=1&seed=1");
  await drawnAfter(() => open("garments.onnx", other), other);
  assert.match(await text("model", other), /^garments\.onnx, \d+ kB, int8, mnist$/);
  assert.ok(await other.locator("#number-field").isHidden());
  await drawnAfter(() => other.getByRole("radio", { name: "Ankle boot" }).check(), other);
  const command = "cgan-run --model garments.onnx --label 'Ankle boot' --count 1 --seed 1";
  assert.equal((await text("command", other)).trim(), command);
  const { images, name } = await saved(1, other);
  assert.deepEqual(difference(images, "own-garments"), { bytes: 0, most: 0 });
  assert.equal(name, "Ankle-boot-seed-1.png");
  await drawnAfter(() => other.getByRole("button", { name: "Back to the digits" }).click(), other);
  assert.match(await text("model", other), /^digits\.onnx/);
  assert.ok(await other.locator("#number-field").isVisible());
  await other.close();
});

test("a float model is within one grey level", async (t) => {
  const other = await visit();
  await drawnAfter(() => open("float.onnx", other), other);
  const { bytes, most } = difference((await saved(100, other)).images, "own-float");
  t.diagnostic(`${bytes} bytes differ, by ${most} at most`);
  assert.ok(most <= 1);
  await other.close();
});

test("a device that draws wrong is told so", async () => {
  const other = await visit();
  await drawnAfter(() => open("wrong.onnx", other), other);
  const pattern = /^WebAssembly, up to 255 grey levels off .*: this device draws it wrong$/;
  assert.match(await text("runs-on", other), pattern);
  await other.close();
});

test("a provider that is not there is an error, and WebAssembly goes on", async () => {
  await ask(DRAWINGS[0]);
  await page.locator("#provider").selectOption("webgpu");
  await page.locator("#error:not(:empty)").waitFor();
  assert.equal(await text("error"), "this browser has no WebGPU here; choose WebAssembly");
  assert.equal(await page.locator("#provider").inputValue(), "wasm");
  assert.deepEqual(difference((await saved(1)).images, "nine"), { bytes: 0, most: 0 });
});

test("on a phone nothing is cut off, and a finger can hit all of it", async () => {
  const other = await visit("#digits=31415926535897932384&count=9&seed=18446744073709551615");
  await other.setViewportSize({ width: 320, height: 568 });
  const width = await other.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 320, `${width} pixels wide`);
  const selector = "button:not([hidden]), #classes label, select, input:not([type=file])";
  const small = await other.evaluate((what) => {
    const controls = [...document.querySelectorAll(what)].map(
      (each) => each.closest("#classes label") ?? each,
    );
    return controls
      .filter((each) => each.getBoundingClientRect().height < 43)
      .map((each) => each.id);
  }, selector);
  assert.deepEqual(small, []);
  await other.close();
});

test("dark or light, as the visitor has it", async () => {
  const colours = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    colours.push(
      await page.evaluate(() => {
        const { backgroundColor, color } = getComputedStyle(document.body);
        return [backgroundColor, color].map((each) => Number(/\d+/.exec(each)[0]));
      }),
    );
  }
  const [[lightPaper, lightInk], [darkPaper, darkInk]] = colours;
  assert.ok(lightPaper - lightInk > 150 && darkInk - darkPaper > 150, String(colours));
});

test("every control has a name", async () => {
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("input:not([hidden]), select, button, canvas")]
      .filter(
        (each) =>
          !(each.ariaLabel || each.labels?.[0]?.textContent.trim() || each.textContent.trim()),
      )
      .map((each) => each.id),
  );
  assert.deepEqual(nameless, []);
});

test("one build of onnxruntime-web is fetched, the small one", () => {
  const vendor = context.requests
    .map((each) => each.url())
    .filter((url) => url.includes("/vendor/"));
  const names = new Set(vendor.map((url) => url.split("/").at(-1)));
  const small = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];
  assert.deepEqual([...names].sort(), small.sort());
});

test("no page and no service worker asked another host for anything", async () => {
  const origins = new Set(context.requests.map((each) => new URL(each.url()).origin));
  assert.deepEqual(
    [...origins].filter((each) => each !== "null"),
    [new URL(address).origin],
  );
  assert.ok(
    context.requests.some((each) => each.serviceWorker()),
    "no service worker was heard",
  );
  assert.deepEqual(page.problems, []);
});

test("the policy forbids other hosts, and the listening would have heard them", async () => {
  const reach = (url) => {
    const refused = [];
    addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
    const image = new Promise((resolve) => {
      Object.assign(new Image(), { onload: resolve, onerror: resolve, src: `${url}/a.png` });
    });
    const asked = [fetch(`${url}/a`), import(`${url}/a.mjs`), image];
    return Promise.allSettled(asked).then(() => [...new Set(refused)].sort());
  };
  const heard = () =>
    context.requests.filter((each) => each.url().startsWith(FOREIGN) && !blocked(each)).length;
  const blocked = (request) => /csp|BLOCKED_BY_CSP/i.test(request.failure()?.errorText ?? "");
  const other = await visit();
  assert.deepEqual(await other.evaluate(reach, FOREIGN), [
    "connect-src",
    "img-src",
    "script-src-elem",
  ]);
  assert.equal(heard(), 0);
  await other.close();
  const lax = createServer((_, response) => {
    response.writeHead(200, { "Content-Type": "text/html" }).end("<title>no policy</title>");
  });
  await new Promise((resolve) => lax.listen(0, "127.0.0.1", resolve));
  const unguarded = await context.newPage();
  await unguarded.goto(`http://127.0.0.1:${lax.address().port}/`);
  assert.deepEqual(await unguarded.evaluate(reach, FOREIGN), []);
  assert.equal(heard(), 3);
  await unguarded.close();
  lax.close();
});

test("offline after the first visit, in a window of its own", async () => {
  const { port } = server.address();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  try {
    const other = await visit("#digits=2026&count=5&seed=0");
    assert.deepEqual(difference((await saved(20, other)).images, "year"), { bytes: 0, most: 0 });
    assert.deepEqual(other.problems, []);
    await assert.rejects(other.evaluate(() => fetch("nothing-that-is-kept")));
    await other.close();
  } finally {
    await host(port);
  }
});

test("a new build takes the place of the old one, and keeps its runtime", async () => {
  const other = await visit();
  const kept = () =>
    other.evaluate(async () => {
      const names = await caches.keys();
      const urls = (await (await caches.open(names[0])).keys()).map((each) => each.url);
      return { names, runtime: urls.filter((url) => url.endsWith(".wasm")).length };
    });
  const old = await kept();
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
  assert.equal((await kept()).runtime, 1);
  await other.close();
});

test("on WebGPU, in software: chosen, lost, left to choose", async (t) => {
  const withGpu = await launch(SOFTWARE_GPU, join(folder, "profile-gpu"));
  const chosen = await visit("#digits=9&count=1&seed=7", withGpu);
  assert.match(await text("runs-on", chosen), /^WebAssembly/); // software is no GPU
  await drawnAfter(() => chosen.locator("#provider").selectOption("webgpu"), chosen);
  assert.equal(await text("error", chosen), "");
  assert.match(await text("runs-on", chosen), /^WebGPU/);
  for (const drawing of [DRAWINGS[0], DRAWINGS[2]]) {
    const { name, digits, count } = drawing;
    await ask(drawing, chosen);
    const { images } = await saved(digits.length * count, chosen);
    const { bytes, most } = difference(images, name);
    t.diagnostic(`WebGPU, ${name}: ${bytes} bytes differ, by ${most} at most`);
    assert.ok(most <= 1);
  }

  await chosen.evaluate(() => {
    GPUQueue.prototype.submit = () => {
      throw new Error("the GPU is gone");
    };
  });
  await drawnAfter(() => chosen.locator("#seed").fill("1"), chosen);
  assert.equal(await text("error", chosen), "WebGPU failed while drawing; WebAssembly goes on");
  assert.match(await text("runs-on", chosen), /^WebAssembly/);
  await ask(DRAWINGS[1], chosen);
  assert.deepEqual(difference((await saved(20, chosen)).images, "year"), { bytes: 0, most: 0 });
  await chosen.close();

  const left = await withGpu.newPage();
  await left.addInitScript(() => {
    Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false });
  });
  await left.goto(address);
  await left.getByText("Works offline now.").waitFor();
  const pattern = /^WebAssembly, .* exactly; that takes [0-9.]+ ms, on WebGPU [0-9.]+ ms$/;
  assert.match(await text("runs-on", left), pattern);
  await drawnAfter(() => open("wrong.onnx", left), left);
  assert.match(await text("runs-on", left), /this device draws it wrong$/);
  await left.locator("#provider").selectOption("webgpu");
  await left.locator("#error:not(:empty)").waitFor();
  assert.match(
    await text("error", left),
    /^WebGPU draws this model wrong here, by up to 255 grey levels/,
  );
  await withGpu.close();
});
