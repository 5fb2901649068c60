/** Serve dist/ on the loopback address, as a static host does. */
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
 * @param {number} port - 0 selects a free one
 * @param {string} base - URL path of the folder, with a slash at both ends
 * @param {object} extraHeaders
 * @returns {Promise<import("node:http").Server>} a server that is listening
 */
export function serve(folder, port, base = "/", extraHeaders = {}) {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://127.0.0.1");
    const path = pathname.startsWith(base) ? decodePath(pathname.slice(base.length)) : null;
    const file = path === null ? null : join(folder, path || "index.html");
    const stats = file && statSync(file, { throwIfNoEntry: false });
    if (!stats?.isFile() || !["GET", "HEAD"].includes(request.method)) {
      response.writeHead(404).end();
      return;
    }
    const etag = `"${stats.size}-${Math.round(stats.mtimeMs)}"`;
    const headers = { "Cache-Control": "no-cache", ETag: etag, ...extraHeaders };
    if (request.headers["if-none-match"] === etag) {
      response.writeHead(304, headers).end();
      return;
    }
    headers["Content-Type"] = TYPES[extname(file)] ?? "application/octet-stream";
    headers["Content-Length"] = stats.size;
    response.writeHead(200, headers);
    if (request.method === "HEAD") response.end();
    else createReadStream(file).pipe(response);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

/** Return the decoded path, or null if it leaves the folder. */
function decodePath(encoded) {
  try {
    const path = normalize(decodeURIComponent(encoded));
    return path.startsWith("..") || path.includes("\0") ? null : path.replace(/^\.$/, "");
  } catch {
    return null;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.argv[2] ?? 8000);
  try {
    await serve(DIST, port);
    console.log(`http://127.0.0.1:${port}/  (press Ctrl-C to stop)`);
  } catch (error) {
    console.error(`error: cannot serve on port ${port} (${error.code}); choose another port`);
    process.exit(1);
  }
}
