// The service worker answers requests from its cache, so that the page works offline after the
// first visit. A host may answer with an error page or a login page. So the worker stores only
// files whose SHA-256 is that of the build.

const BUILD = "__BUILD__"; // build.mjs fills in this name and the two tables of SHA-256 by file
const FILES = { __FILES__: "" }; // the page; its files are cached at installation
// onnxruntime-web, the licenses and the tutorial; they are cached when the page fetches them
const CACHED_ON_FETCH = { __CACHED_ON_FETCH__: "" };

const PREFIX = `cgan ${registration.scope} `;
const CACHE = PREFIX + BUILD;
const HASHES = { ...FILES, ...CACHED_ON_FETCH };

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(activate()));
addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const file = new URL(url).pathname.slice(new URL(registration.scope).pathname.length);
  const isOurs =
    method === "GET" && url.startsWith(registration.scope) && Object.hasOwn(HASHES, file);
  if (isOurs) event.respondWith(answer(event.request, file));
});

async function install() {
  const cache = await caches.open(CACHE);
  for (const file of Object.keys(FILES)) {
    const response = await fetch(new Request(urlOf(file), { cache: "no-cache" }));
    const isStored = await store(cache, file, response);
    if (!isStored) throw new Error(`${file} does not match the SHA-256 of this build`);
  }
  for (const file of Object.keys(CACHED_ON_FETCH)) {
    const cached = await caches.match(urlOf(file)); // the copy of an earlier build saves a download
    if (cached) await store(cache, file, cached);
  }
  await skipWaiting();
}

async function activate() {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
  }
  await clients.claim();
}

async function answer(request, file) {
  const cache = await caches.open(CACHE);
  const cached = await cache.match(urlOf(file));
  if (cached && (await isIntact(cached, file))) return cached;
  const response = await fetch(request);
  await store(cache, file, response).catch(() => {}); // if storage is full, the page works online
  return response;
}

function urlOf(file) {
  return new URL(file, registration.scope).href;
}

/** Store a response if it is the file of this build; return whether it is. */
async function store(cache, file, response) {
  if (!response.ok || !(await isIntact(response, file))) return false;
  const copy = response.clone();
  // A redirected response cannot answer the request for a page.
  const stored = response.redirected ? new Response(copy.body, { headers: copy.headers }) : copy;
  await cache.put(urlOf(file), stored);
  return true;
}

async function isIntact(response, file) {
  const digest = await crypto.subtle.digest("SHA-256", await response.clone().arrayBuffer());
  const bytes = Array.from(new Uint8Array(digest));
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("") === HASHES[file];
}
