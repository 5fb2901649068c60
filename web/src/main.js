/** The main module of the page: it connects the user interface to the generator. */
import { TUTORIAL } from "./built.js"; // address of the tutorial, written by build.mjs
import { InputError, ModelError, ProviderError } from "./errors.js";
import { Generator } from "./images/generator.js";
import { toPng } from "./images/png.js";
import { Sheet } from "./images/sheet.js";
import { printable } from "./model/escaping.js";
import { checkSize } from "./model/validation/graph_validation.js";
import * as captions from "./page/captions.js";
import { command, fileName } from "./page/command.js";
import {
  $,
  copyOnClick,
  download,
  listClasses,
  listenForFiles,
  showCommand,
  showError,
} from "./page/dom.js";
import { generateSlices, noiseOfCells } from "./page/generation.js";
import { keepOffline } from "./page/offline.js";
import * as requests from "./page/request.js";
import { Walk } from "./page/walk.js";

const SHIPPED_MODEL = "digits.onnx";
const MAX_SHEET_WIDTH = 2 ** 14; // pixels; the usual browsers support canvases of this width
const MAX_PNG_SCALE = 4;
const SAVED_SIDE = 128; // largest height and width in pixels of an enlarged image in a saved PNG
const MAX_OUTDATED_MILLISECONDS = 100; // an outdated sheet is aborted after this time
const ADDRESS_MILLISECONDS = 300; // delay, because browsers limit changes of the address

const sheet = new Sheet($("sheet"));
const walk = new Walk(showFrame, showPlaying);
let generator = null; // the current generator
let shipped = null; // the generator of the shipped model
let state = null; // the current request
let newest = 0; // number of the sheet that was requested last
let generation = null; // promise of the generation in progress
let addressTimer = null; // timer of the next change of the address

/* Input */

/** Update the state from a field. If the field is invalid, show the error and keep the sheet. */
function applyField(field, parse) {
  try {
    parse(field.value.trim());
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    field.setAttribute("aria-invalid", "true");
    return showError(error);
  }
  applyState();
}

/** Clear the errors, show the state in the fields and generate its images. */
function applyState() {
  showError(null);
  for (const field of document.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
  }
  showState();
  return requestSheet();
}

/** Show the state in every field that is neither being edited nor invalid. */
function showState() {
  const { labels, count, seed, sameNoise, frame } = state;
  const isAll = String(labels) === String(requests.allLabels(generator.info));
  const single = labels.length === 1 ? String(labels[0]) : null;
  const selected = isAll ? "all" : single;
  for (const radio of $("classes").querySelectorAll("input"))
    radio.checked = radio.value === selected;
  const number = captions.namesOf(labels, generator.info);
  const values = { number, count, seed, to: requests.walkEnd(state) };
  for (const [id, value] of Object.entries(values)) {
    const isIdle = document.activeElement !== $(id) && !$(id).hasAttribute("aria-invalid");
    if (isIdle) $(id).value = value;
  }
  $("same-noise").checked = sameNoise;
  $("frame").value = frame;
  $("frame").setAttribute("aria-valuetext", `frame ${frame + 1} of ${requests.FRAMES}`);
}

/** Write the state into the address, unless the model is the visitor's own file. */
function writeAddress() {
  clearTimeout(addressTimer);
  if (!isShipped() || walk.isPlaying) return;
  addressTimer = setTimeout(() => {
    if (isShipped() && location.href !== link()) history.replaceState(null, "", link());
  }, ADDRESS_MILLISECONDS);
}

function link() {
  return new URL(`#${requests.writeLink(state, generator.info)}`, location.href).href;
}

function readAddress() {
  state = requests.readLink(location.hash.slice(1), generator.info);
}

function selectLabels(labels) {
  state = requests.withLabels(state, labels, generator.info);
}

function selectClass(label) {
  selectLabels(label === "all" ? requests.allLabels(generator.info) : [label]);
  applyState();
}

/* Walk */

function showFrame(frame) {
  state.frame = frame;
  showState();
  return requestSheet();
}

function showPlaying(isPlaying) {
  $("play").textContent = isPlaying ? "Pause walk" : "Play walk";
  if (!isPlaying) requestSheet();
}

/* Generation */

/** Generate the sheet of the state. Of the requests during a generation, only the last counts. */
function requestSheet() {
  newest++;
  generation ??= generateRequestedSheets().finally(() => (generation = null));
  return generation;
}

async function generateRequestedSheets() {
  for (let handled = 0; handled !== newest;) {
    handled = newest;
    const current = generator;
    try {
      await generateSheet(handled, { ...state });
    } catch (error) {
      if (current === generator) await fallBack(error); // otherwise the model was replaced
    }
  }
}

/** Switch to WebAssembly, because a GPU can be lost at any time. */
async function fallBack(error) {
  if (generator.provider === "wasm") {
    walk.pause();
    return showError(error);
  }
  console.warn(error);
  await generator.useProvider("wasm");
  $("provider").value = "wasm";
  showError(new ProviderError("WebGPU failed; the page now uses WebAssembly"));
  newest++; // generateRequestedSheets() generates the sheet again
}

async function generateSheet(number, request) {
  const { width, noiseDim } = generator.info;
  const labels = Array(request.count).fill(request.labels).flat();
  const widest = Math.max(1, Math.floor(MAX_SHEET_WIDTH / width));
  sheet.layOut(labels.length, Math.min(widest, requests.columnsOf(request)), generator.info);
  const start = performance.now();
  let milliseconds = 0;
  for await (const slice of generateSlices(generator, labels, noiseOfCells(request, noiseDim))) {
    sheet.put(slice.first, slice.images);
    milliseconds += slice.milliseconds;
    const isOutdated = number !== newest;
    if (isOutdated && performance.now() - start > MAX_OUTDATED_MILLISECONDS) return;
  }
  $("sheet").setAttribute("aria-label", captions.description(request, generator.info));
  showCaptions(request, labels.length, milliseconds);
  writeAddress();
  for (const id of ["play", "save"]) $(id).disabled = false;
  $("copy-link").disabled = !isShipped();
  document.documentElement.dataset.generated = number; // the tests wait for this attribute
}

/* Output */

function showCaptions(request, images, milliseconds) {
  $("latency").textContent = captions.latency(images, milliseconds);
  $("self-test").textContent = captions.selfTest(generator);
  $("runs-on").textContent = captions.provider(generator);
  $("model").textContent = captions.model(generator);
  const isWalk = walk.isPlaying || request.frame !== 0;
  const path = isShipped() ? null : generator.source;
  showCommand(command(request, isWalk, generator.info, path));
}

async function save() {
  await generation;
  const { height, width } = generator.info;
  const scale = Math.min(MAX_PNG_SCALE, Math.floor(SAVED_SIDE / Math.max(height, width)));
  const png = await toPng(sheet.pixels, sheet.width, sheet.channels, Math.max(1, scale));
  download(png, fileName(state, generator.info));
}

/* Models */

function isShipped() {
  return generator === shipped;
}

async function openShipped() {
  const response = await fetch(SHIPPED_MODEL).catch(() => ({ ok: false }));
  if (!response.ok) {
    throw new ModelError(
      `${SHIPPED_MODEL} cannot be loaded; check the connection and reload the page`,
    );
  }
  return Generator.open(new Uint8Array(await response.arrayBuffer()), SHIPPED_MODEL);
}

/** Make a model the current one and close the previous one. */
async function switchTo(opened) {
  const previous = generator;
  generator = opened;
  const { info } = opened;
  const isSame = JSON.stringify(previous?.info.classNames) === JSON.stringify(info.classNames);
  const labels = isSame ? state.labels : requests.allLabels(info);
  state = requests.withLabels(state ?? requests.newRequest(info), labels, info);
  if (!isSame) listClasses(info, selectClass);
  $("shipped").hidden = isShipped();
  $("title").textContent = isShipped() ? "Handwritten digits" : "Generated images";
  if (previous && previous !== shipped) previous.close().catch(console.error);
}

async function readFile(file) {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (cause) {
    const message = `cannot read ${printable(file.name)} (${cause.message}); open another file`;
    throw new ModelError(message, { cause }); // a folder, or a file that changed meanwhile
  }
}

async function openFile(file) {
  try {
    checkSize(file.size, file.name);
    await switchTo(await Generator.open(await readFile(file), file.name));
  } catch (error) {
    return showError(error); // the current model and sheet stay
  }
  await applyState();
  await applyProvider();
}

/** Switch the generator to the provider that the visitor selected. */
async function applyProvider() {
  const selected = $("provider").value;
  const current = generator;
  const previous = current.provider;
  try {
    await (selected === "auto" ? current.useFastestProvider() : current.useProvider(selected));
  } catch (error) {
    if (current !== generator) return; // the visitor opened another model
    $("provider").value = previous;
    return showError(error);
  }
  if (current === generator) await requestSheet();
}

/* Events */

function listen() {
  const parsers = {
    number: (text) => selectLabels(requests.parseNumber(text, generator.info)),
    count: (text) => (state.count = requests.parseCount(text, state.labels, generator.info)),
    seed: (text) => (state.seed = requests.parseSeed(text)),
    to: (text) => (state.endSeed = text ? requests.parseSeed(text) : null),
  };
  for (const [id, parse] of Object.entries(parsers)) {
    $(id).addEventListener("input", ({ target }) => applyField(target, parse));
  }
  $("same-noise").addEventListener("change", ({ target }) => {
    state.sameNoise = target.checked;
    const isAlone = target.checked && state.labels.length === 1;
    // A row of a single label has one image, so the option would have no effect.
    if (isAlone) selectLabels(requests.allLabels(generator.info));
    applyState();
  });
  $("frame").addEventListener("input", ({ target }) => {
    walk.pause();
    state.frame = Number(target.value);
    applyState();
  });
  $("play").addEventListener("click", () => {
    if (walk.isPlaying) walk.pause();
    else walk.play(state.frame);
  });
  copyOnClick($("copy-link"), link);
  copyOnClick($("copy-command"), () => $("command").textContent);
  $("new-seed").addEventListener("click", () => {
    state.seed = BigInt(crypto.getRandomValues(new Uint32Array(1))[0]);
    applyState();
  });
  // A field that was left empty shows the current value again.
  $("controls").addEventListener("focusout", () => setTimeout(showState));
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("provider").addEventListener("change", applyProvider);
  $("save").addEventListener("click", save);
  listenForFiles(openFile);
  $("shipped").addEventListener("click", async () => {
    await switchTo(shipped);
    await applyState();
    await applyProvider();
  });
  addEventListener("hashchange", () => {
    if (!isShipped()) return;
    walk.pause();
    readAddress();
    applyState();
  });
}

async function start() {
  $("tutorial").href = TUTORIAL;
  try {
    shipped = await openShipped();
  } catch (error) {
    $("latency").textContent = "no images yet";
    return showError(error);
  }
  await switchTo(shipped);
  readAddress();
  listen();
  await applyState();
  await applyProvider();
  if (await keepOffline()) $("offline").textContent = "The page now works offline.";
}

document.documentElement.dataset.started = ""; // startup-error.js reads this attribute
start();
