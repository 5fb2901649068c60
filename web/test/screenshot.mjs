/**
 * Take the picture of the page for the README: a wide light view and a narrow dark view.
 *
 *     node web/test/screenshot.mjs docs/web.png    # after make test-web
 */
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DIST, build } from "../build.mjs";
import { serve } from "../serve.mjs";
import { WITHOUT_GPU, launch } from "./chromium.mjs";

const VIEWS = [
  { colorScheme: "light", width: 1100, height: 1040, hash: "#noise=same" },
  {
    colorScheme: "dark",
    width: 390,
    height: 1040,
    hash: "#digits=2026&count=5&seed=8&to=9&frame=19",
  },
];

build();
const profile = mkdtempSync(join(tmpdir(), "cgan-screenshot-"));
const server = await serve(DIST, 0);
const context = await launch(WITHOUT_GPU, profile);
const page = await context.newPage();
const images = [];
for (const { colorScheme, width, height, hash } of VIEWS) {
  await page.emulateMedia({ colorScheme });
  await page.setViewportSize({ width, height });
  await page.goto("about:blank");
  await page.goto(`http://127.0.0.1:${server.address().port}/${hash}`);
  await page.getByText("The page now works offline.").waitFor();
  const shot = await page.screenshot();
  images.push(`<img src="data:image/png;base64,${shot.toString("base64")}">`);
}
const gap = 24;
await page.setViewportSize({
  width: VIEWS.reduce((sum, { width }) => sum + width + gap, gap),
  height: VIEWS[0].height + 2 * gap,
});
await page.goto("about:blank");
await page.setContent(
  `<style>body { margin: ${gap}px; display: flex; gap: ${gap}px; background: #d8d4cc }
   img { border-radius: 10px }</style>${images.join("")}`,
);
await page.screenshot({ path: process.argv[2] });
await context.close();
server.close();
await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
