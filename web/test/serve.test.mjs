/** The server of make web: every request gets a status code, and no request ends the server. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { serve } from "../serve.mjs";

const SERVE = fileURLToPath(new URL("../serve.mjs", import.meta.url));
const LARGE = 2 ** 24; // bytes of a file that is larger than the buffers of a socket

let folder, server;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "cgan-serve-"));
  mkdirSync(join(folder, "www", "folder"), { recursive: true });
  writeFileSync(join(folder, "secret"), "secret");
  writeFileSync(join(folder, "www", "index.html"), "<title>x</title>");
  writeFileSync(join(folder, "www", "a.js"), "1;");
  writeFileSync(join(folder, "www", "large.wasm"), Buffer.alloc(LARGE));
  server = await serve(join(folder, "www"), 0, "/base/");
});

after(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Send bytes, and return everything that the server answers. */
function send(text, port = server.address().port) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text, "latin1"));
    let answer = "";
    socket.on("data", (data) => (answer += data.toString("latin1")));
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}

const request = (path, method = "GET", headers = "") =>
  send(`${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`);
const statusOf = (answer) => Number(/^HTTP\/1\.1 (\d+) /.exec(answer)?.[1]);

for (const [path, status, method = "GET", headers = ""] of [
  ["/base/", 200],
  ["/base/?a=b", 200],
  ["/base/index.html", 200],
  ["/base/a.js", 200, "HEAD"],
  ["/base/a.js", 200, "GET", "Range: bytes=0-0\r\n"],
  ["/base/a.js", 200, "GET", "Range: bytes=9-x,,\r\n"],
  ["/base/a.js", 405, "POST"],
  ["/base/a.js", 405, "PUT"],
  ["/base/a.js", 405, "DELETE"],
  ["/base/a.js", 405, "OPTIONS"],
  ["/base/index.html/", 404],
  ["/base/index.html/x", 404],
  ["/base/folder", 404],
  ["/base/folder/", 404],
  ["/base/none", 404],
  [`/base/${"n".repeat(300)}`, 404],
  [`/base/${"n/".repeat(3000)}`, 404],
  ["//", 400],
  ["/", 400],
  ["/base//", 404],
  ["/base/%00", 400],
  ["/base/%", 400],
  ["/base/%ff", 400],
  ["/base/%E0%A4%A", 400],
  ["/base/../secret", 400],
  ["/base/%2e%2e/secret", 400],
  ["/base/..%2fsecret", 400],
  ["/base/..%5csecret", 400],
  ["http://[/base/", 200],
  ["http://x/base/", 200],
  ["http://x", 400],
  ["*", 400],
  ["/base/\xff\xfe", 400],
  [`/${"x".repeat(100_000)}`, 431],
]) {
  test(`${method} ${path.slice(0, 40)} ${headers.trim()} is answered with ${status}`, async () => {
    const answer = await request(path, method, headers);
    const actual = statusOf(answer);
    if (status === 431) assert.ok([400, 431].includes(actual), answer.slice(0, 80));
    else assert.equal(actual, status, answer.slice(0, 80));
    assert.ok(!answer.includes("secret"));
    assert.equal(statusOf(await request("/base/")), 200);
  });
}

test("bytes that are not HTTP are answered with 400", async () => {
  for (const text of ["\0\xff\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"]) {
    assert.equal(statusOf(await send(text)), 400);
  }
  assert.equal(statusOf(await request("/base/")), 200);
});

test("a file that did not change is answered with 304", async () => {
  const [, etag] = /etag: (.*)\r\n/i.exec(await request("/base/a.js"));
  assert.equal(statusOf(await request("/base/a.js", "GET", `If-None-Match: ${etag}\r\n`)), 304);
});

/** Return how many times the large file is open in this process. */
const openFiles = () => readdirSync("/proc/self/fd").length;

test(
  "an aborted download leaves no open file",
  { skip: process.platform !== "linux" },
  async () => {
    const count = openFiles();
    for (let repeat = 0; repeat < 40; repeat++) {
      await new Promise((resolve) => {
        const socket = connect(server.address().port, "127.0.0.1", () =>
          socket.write("GET /base/large.wasm HTTP/1.1\r\nHost: x\r\n\r\n"),
        );
        socket.once("data", () => socket.destroy());
        socket.once("close", resolve);
      });
    }
    const deadline = Date.now() + 60_000;
    while (openFiles() > count + 5 && Date.now() < deadline) await sleep(50);
    assert.ok(openFiles() <= count + 5, `${openFiles()} open, ${count} before`);
    assert.equal(statusOf(await request("/base/")), 200);
  },
);

test("a port that is in use ends in one line", async () => {
  const taken = createServer();
  await new Promise((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address();
  const child = spawn(process.execPath, [SERVE, String(port)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (data) => (errors += data));
  const code = await new Promise((resolve) => child.on("close", resolve));
  taken.close();
  assert.equal(code, 1);
  assert.equal(errors, `error: cannot serve on port ${port} (EADDRINUSE); choose another port\n`);
});

for (const port of ["x", "-1", "65536", "8000.5", "", "1e3"]) {
  test(`the port '${port}' ends in one line`, () => {
    const { status, stderr } = spawnSync(process.execPath, [SERVE, port], { encoding: "utf8" });
    assert.equal(status, 2);
    assert.equal(stderr, `error: '${port}' is not a port; give a number from 0 to 65535\n`);
  });
}
