/** What the visitor does: fields, links, the keyboard, the walk, and a phone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  EQUAL,
  FRAMES,
  REQUESTS,
  SAME_NOISE,
  SIZE,
  WALKS,
  address,
  context,
  difference,
  framesOf,
  framesOfPython,
  generatedBy,
  isFrame,
  linkOf,
  page,
  request,
  saved,
  text,
  visit,
  waitForSheet,
} from "./harness.mjs";

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
  ["count", "0", /^the count must be .* from 1 to 1000, got "0"; type another count$/],
  ["count", "1001", /^the count must be/],
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
  await waitForSheet(() => box.check(), other); // a single digit has one image per row
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
  assert.equal(await other.locator("#frame").inputValue(), "0"); // the walk does not start alone
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
