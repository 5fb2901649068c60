/** Serves dist/ on the loopback address, as any static host would. */
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { DIST } from "./build.mjs";

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".onnx": "application/octet-stream",
  ".png": "image/png",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

/**
 * Serve a folder on 127.0.0.1.
 *
 * @param {string} folder
 * @param {number} port - 0 takes a free one
 * @param {string} base - path that it is served under, with a slash at both ends
 * @param {object} extra - headers beside the usual ones
 * @returns {Promise<import("node:http").Server>} listening
 */
export function serve(folder, port, base = "/", extra = {}) {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://127.0.0.1");
    const inside = pathname.startsWith(base) ? decodePath(pathname.slice(base.length)) : null;
    const file = inside === null ? null : join(folder, inside || "index.html");
    const found = file && statSync(file, { throwIfNoEntry: false });
    if (!found?.isFile() || !["GET", "HEAD"].includes(request.method)) {
      response.writeHead(404).end();
      return;
    }
    const etag = `"${found.size}-${Math.round(found.mtimeMs)}"`;
    const headers = { "Cache-Control": "no-cache", ETag: etag, ...extra };
    if (request.headers["if-none-match"] === etag) {
      response.writeHead(304, headers).end();
      return;
    }
    headers["Content-Type"] = TYPES[extname(file)] ?? "application/octet-stream";
    headers["Content-Length"] = found.size;
    response.writeHead(200, headers);
    if (request.method === "HEAD") response.end();
    else createReadStream(file).pipe(response);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

/** Return a path that stays inside, or null. */
function decodePath(path) {
  try {
    const inside = normalize(decodeURIComponent(path));
    return inside.startsWith("..") || inside.includes("\0") ? null : inside.replace(/^\.$/, "");
  } catch {
    return null;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.argv[2] ?? 8000);
  try {
    await serve(DIST, port);
    console.log(`http://127.0.0.1:${port}/  Ctrl-C ends it`);
  } catch (error) {
    console.error(`error: cannot serve on port ${port} (${error.code}); choose another one`);
    process.exit(1);
  }
}
