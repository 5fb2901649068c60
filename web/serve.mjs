/** Serve dist/ on the loopback address, as a static host does. */
import { open } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { DIST } from "./build.mjs";

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".onnx": "application/octet-stream",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webp": "image/webp",
};

/**
 * Serve a folder on 127.0.0.1.
 *
 * @param {string} folder
 * @param {number} port - 0 selects a free port
 * @param {string} base - URL path of the folder, with a slash at both ends
 * @param {object} extraHeaders
 * @param {object} types - Content-Type by extension
 * @returns {Promise<import("node:http").Server>} a server that is listening
 */
export function serve(folder, port, base = "/", extraHeaders = {}, types = TYPES) {
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy()); // the visitor aborted the download
  });
  const answer = async (request, response) => {
    const refuse = (status, headers = {}) => response.writeHead(status, headers).end();
    if (!["GET", "HEAD"].includes(request.method)) return refuse(405, { Allow: "GET, HEAD" });
    const path = filePath(request.url, base);
    if (path === null) return refuse(400);
    const file = await open(join(folder, path)).catch(() => null);
    if (file === null) return refuse(404);
    try {
      const stats = await file.stat();
      if (!stats.isFile()) return refuse(404);
      const etag = `"${stats.size}-${Math.round(stats.mtimeMs)}"`;
      const headers = { "Cache-Control": "no-cache", ETag: etag, ...extraHeaders };
      if (request.headers["if-none-match"] === etag) return refuse(304, headers);
      headers["Content-Type"] = types[extname(path)] ?? "application/octet-stream";
      headers["Content-Length"] = stats.size;
      response.writeHead(200, headers);
      if (request.method === "HEAD") response.end();
      else await pipeline(file.createReadStream({ autoClose: false }), response);
    } finally {
      await file.close();
    }
  };
  server.on("clientError", (_, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

/** Return the path of a file below the folder, or null if the request is invalid. */
function filePath(url, base) {
  const [path] = url.replace(/^https?:\/\/[^/?#]*/i, "").split(/[?#]/);
  if (!path.startsWith(base)) return null;
  let parts;
  try {
    parts = decodeURIComponent(path.slice(base.length)).split("/");
  } catch {
    return null; // an invalid percent encoding
  }
  const isHidden = parts.some((part) => part.startsWith(".") || /[\0\\]/.test(part));
  return isHidden ? null : parts.join("/") || "index.html";
}

/** Return the port that a text of the command line states, or null. */
function parsePort(text) {
  return /^[0-9]{1,5}$/.test(text) && Number(text) < 65536 ? Number(text) : null;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [text = "8000"] = process.argv.slice(2);
  const port = parsePort(text);
  if (port === null) {
    console.error(`error: '${text.slice(0, 40)}' is not a port; give a number from 0 to 65535`);
    process.exit(2);
  }
  try {
    const server = await serve(DIST, port);
    console.log(`http://127.0.0.1:${server.address().port}/  (press Ctrl-C to stop)`);
  } catch (error) {
    console.error(`error: cannot serve on port ${port} (${error.code}); choose another port`);
    process.exit(1);
  }
}
