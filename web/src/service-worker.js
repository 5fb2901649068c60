// Answers requests from its cache, so that the page works offline after the first visit.

const BUILD = "__BUILD__"; // build.mjs fills in this and the two lists
const FILES = ["__FILES__"]; // the page: cached at installation
const RUNTIME = ["__RUNTIME__"]; // the onnxruntime-web builds: cached when fetched

const PREFIX = `cgan ${registration.scope} `;
const CACHE = PREFIX + BUILD;

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(activate()));
addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(registration.scope)) event.respondWith(answer(event));
});

async function install() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
  for (const file of RUNTIME) {
    const cached = await caches.match(file); // by an earlier build of the page: several megabytes
    if (cached) await cache.put(file, cached);
  }
  await skipWaiting();
}

async function activate() {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
  }
  await clients.claim();
}

async function answer({ request }) {
  const cache = await caches.open(CACHE);
  const cached = await cache.match(request, { ignoreSearch: true });
  if (cached) return cached;
  const response = await fetch(request);
  const isRuntime = RUNTIME.some((file) => request.url === new URL(file, registration.scope).href);
  if (response.ok && isRuntime) await cache.put(request, response.clone());
  return response;
}
