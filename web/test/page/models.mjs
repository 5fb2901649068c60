/** Models of the visitor, and the providers that run them. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { SOFTWARE_GPU, launch } from "../chromium.mjs";
import {
  EQUAL,
  REQUESTS,
  address,
  difference,
  folder,
  open,
  page,
  request,
  saved,
  selectProvider,
  text,
  visit,
  waitForSheet,
} from "./harness.mjs";

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

test("an output with a wrong number of images is reported", async () => {
  const message = await page.evaluate(async () => {
    const { Generator } = await import("./images/generator.js");
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
