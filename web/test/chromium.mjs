/** A Chromium of the machine's own, driven by playwright-core; as a program: is there one? */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const QUIET = [
  "--no-sandbox", // Chromium's own does not start as root, as in most containers
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", // nothing foreign is ever reached
];
export const WITHOUT_GPU = ["--disable-gpu"];
/** WebGPU computed by the CPU, in SwiftShader, which comes with Chromium. */
export const SOFTWARE_GPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-unsafe-swiftshader",
];
const PATIENCE = 60_000; // milliseconds, for a machine that has other things to do

/** Return the path of the machine's Chromium: CHROMIUM, or the first found; null if there is none. */
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
 * @param {string} profile - an empty folder, or one to be made; it outlives the browser
 * @returns {Promise<import("playwright-core").BrowserContext>} its requests array holds every
 *     request that its pages and service workers make
 */
export async function launch(flags, profile) {
  const { chromium } = await import("playwright-core");
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: findChromium(),
    headless: true,
    args: [...QUIET, ...flags],
  });
  context.setDefaultTimeout(PATIENCE);
  context.requests = [];
  context.on("request", (request) => context.requests.push(request));
  return context;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && findChromium() === null) {
  console.error("error: no Chromium here; on Debian: apt install chromium, or CHROMIUM=its path");
  process.exit(1);
}
