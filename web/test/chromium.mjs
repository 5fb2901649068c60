/**
 * Start the installed Chromium with playwright-core. Run as a program, check that it is there.
 */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const FLAGS = [
  "--no-sandbox", // the sandbox does not start as root, which most containers use
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", // no other host can be reached
];
export const WITHOUT_GPU = ["--disable-gpu"];
/** WebGPU on the CPU, with the SwiftShader that is part of Chromium. */
export const SOFTWARE_GPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-unsafe-swiftshader",
];
const TIMEOUT = 60_000; // milliseconds; long enough for a busy machine

/** Return the path of Chromium, from CHROMIUM or the PATH, or null. */
export function findChromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = (process.env.PATH ?? "").split(delimiter);
  const paths = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  return paths.find(isExecutable) ?? null;
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Start a headless Chromium.
 *
 * @param {string[]} flags
 * @param {string} profile - a new or empty folder; the caller deletes it
 * @returns {Promise<import("playwright-core").BrowserContext>} with an array `requests` of every
 *     request that its pages and service workers make
 */
export async function launch(flags, profile) {
  const { chromium } = await import("playwright-core");
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: findChromium(),
    headless: true,
    args: [...FLAGS, ...flags],
  });
  context.setDefaultTimeout(TIMEOUT);
  context.requests = [];
  context.on("request", (request) => context.requests.push(request));
  return context;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && findChromium() === null) {
  console.error("error: no Chromium was found; run 'apt install chromium', or set CHROMIUM=PATH");
  process.exit(1);
}
