/** The host of the page: content types, files of the build, the policy, and offline use. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { DIST, sizes } from "../../build.mjs";
import { serve } from "../../serve.mjs";
import {
  EQUAL,
  address,
  addressOf,
  closeServer,
  context,
  difference,
  host,
  open,
  page,
  saved,
  server,
  text,
  visit,
} from "./harness.mjs";

const OTHER_HOST = "http://foreign.invalid";

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
  const document = new URL("../../../docs/how-to/web-page.md", import.meta.url);
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
      "images/sheet.js",
      new Response("broken", { headers: { "Content-Type": "text/javascript" } }),
    );
  });
  await second.close();
  hijacked.add(".wasm"); // intact in the cache
  const third = await visit("#digits=9&count=1&seed=7", context, addressOf(host));
  assert.deepEqual(difference((await saved(1, third)).images, "nine"), EQUAL);
  assert.equal(await third.evaluate(async () => (await fetch("images/sheet.js")).status), 200);
  await third.close();
  closeServer(host);
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
