/** The page: reads what the visitor requests and shows the generated images. */
import { InputError, ModelError, PageError, ProviderError } from "./errors.js";
import * as facts from "./facts.js";
import { SeedNoise, generateSlices } from "./generation.js";
import { Generator } from "./generator.js";
import { SEEDS } from "./noise.js";
import { keepOffline } from "./offline.js";
import { toPng } from "./png.js";
import { Sheet } from "./sheet.js";
import { displayed, printable } from "./texts.js";
import { checkSize } from "./validation.js";

const SHIPPED_MODEL = "digits.onnx";
const MAX_IMAGES = 1000; // of a sheet, and classes of a model that are listed
// Browsers do not draw larger canvases, and a model's images may be large.
const MAX_SHEET_PIXELS = 2 ** 22;
const MAX_SHEET_WIDTH = 2 ** 14; // in pixels
const MAX_COMMAND_LENGTH = 4000; // characters; a class name may be longer
const MAX_NUMBER_LENGTH = 20; // digits
const MAX_PNG_SCALE = 4;
const SAVED_SIDE = 128; // pixels of a saved image, which is enlarged up to this size
const MAX_OUTDATED_MILLISECONDS = 100; // how long an outdated sheet may still be generated

const $ = (id) => document.getElementById(id);
const sheet = new Sheet($("sheet"));
const state = { labels: [], count: 10, seed: 1n, to: 2n, position: 0 };
let generator = null;
let noises = []; // SeedNoise of both seeds of the interpolation

/* Input */

function allLabels() {
  return [...generator.info.classNames.keys()].slice(0, maxImages());
}

function isAllLabels(labels) {
  return String(labels) === String(allLabels());
}

/** Return the labels of a number's digits. */
function parseNumber(number) {
  return [...number].map((digit) => {
    const label = generator.info.classNames.indexOf(digit);
    if (label < 0) throw new InputError(`"${digit}" is not a digit; type a number such as 2026`);
    return label;
  });
}

function parseSeed(text) {
  if (!/^[0-9]{1,20}$/.test(text) || BigInt(text) >= SEEDS) {
    throw new InputError(
      `the seed must be a whole number from 0 to 2^64 - 1, got "${text}"; type another seed`,
    );
  }
  return BigInt(text);
}

function parseCount(text, labels) {
  const count = Number(text);
  if (!/^[0-9]{1,9}$/.test(text) || count < 1 || count > maxCount(labels)) {
    throw new InputError(
      `a sheet holds at most ${maxImages()} images; choose a count from 1 to ${maxCount(labels)}`,
    );
  }
  return count;
}

function maxImages() {
  const { height, width } = generator.info;
  return Math.max(1, Math.min(MAX_IMAGES, Math.floor(MAX_SHEET_PIXELS / (height * width))));
}

/** Return how many images of each of these labels fit on a sheet. */
function maxCount(labels) {
  return Math.max(1, Math.floor(maxImages() / labels.length));
}

/** Update the state from a field, or show what is wrong with the field and keep the sheet. */
function applyField(field, parse) {
  try {
    Object.assign(state, parse(field.value.trim()));
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

/** Return these labels with the current count, reduced to what fits on a sheet. */
function withLabels(labels) {
  return { labels, count: Math.min(state.count, maxCount(labels)) };
}

/** Show the state in every field that is neither being edited nor invalid. */
function showState() {
  const { labels, count, seed, to, position } = state;
  const single = labels.length === 1 ? String(labels[0]) : null;
  const selected = isAllLabels(labels) ? "all" : single;
  for (const radio of $("classes").querySelectorAll("input"))
    radio.checked = radio.value === selected;
  const values = { number: facts.namesOf(labels, generator.info), count, seed, to };
  for (const [id, value] of Object.entries(values)) {
    const isIdle = document.activeElement !== $(id) && !$(id).hasAttribute("aria-invalid");
    if (isIdle) $(id).value = value;
  }
  $("from").value = seed;
  $("position").value = position * 100;
  $("position").setAttribute("aria-valuetext", `${Math.round(position * 100)} %`);
}

/** Write the state into the address, so that a link shows the same images. */
function writeAddress({ labels, count, seed, to, position }) {
  if (!isShipped()) return; // a link cannot refer to the visitor's own file
  const parts = { digits: facts.namesOf(labels, generator.info), count, seed };
  if (position) Object.assign(parts, { to, position });
  const hash = `#${new URLSearchParams(parts)}`;
  if (location.hash !== hash) history.replaceState(null, "", hash);
}

function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const parsers = {
    digits: (text) =>
      (state.labels = text ? parseNumber(text.slice(0, MAX_NUMBER_LENGTH)) : allLabels()),
    count: (text) => (state.count = parseCount(text, state.labels)),
    seed: (text) => (state.seed = parseSeed(text)),
    to: (text) => (state.to = parseSeed(text)),
    position: (text) => (state.position = Math.min(1, Math.max(0, Number(text) || 0))),
  };
  for (const [key, parse] of Object.entries(parsers)) {
    try {
      if (parts.has(key)) parse(parts.get(key));
    } catch (error) {
      if (!(error instanceof InputError)) throw error; // an invalid part keeps its default
    }
  }
}

/* Generation */

let requests = 0; // sheets requested so far
let generation = null; // promise of the generation in progress

/** Generate the state's sheet. Requests during a generation are replaced by the newest of them. */
function requestSheet() {
  requests++;
  generation ??= generateRequestedSheets().finally(() => (generation = null));
  return generation;
}

async function generateRequestedSheets() {
  for (let handled = 0; handled !== requests;) {
    handled = requests;
    const current = generator;
    try {
      await generateSheet(handled, { ...state });
    } catch (error) {
      if (current === generator) await fallBack(error); // otherwise the model was replaced
    }
  }
}

/** Switch to WebAssembly: a GPU can be lost at any time. */
async function fallBack(error) {
  if (generator.provider === "wasm") return showError(error);
  console.warn(error);
  await generator.useProvider("wasm");
  $("provider").value = "wasm";
  showError(new ProviderError("WebGPU failed; the page now uses WebAssembly"));
  requests++;
}

async function generateSheet(request, requested) {
  const { width, noiseDim } = generator.info;
  const classes = requested.labels.length;
  const labels = Array(requested.count).fill(requested.labels).flat();
  const widest = Math.max(1, Math.floor(MAX_SHEET_WIDTH / width));
  const columns = Math.min(widest, classes > 1 ? classes : Math.ceil(Math.sqrt(requested.count)));
  noises = [noiseOf(requested.seed, noiseDim), noiseOf(requested.to, noiseDim)];
  sheet.layOut(labels.length, columns, generator.info);
  const start = performance.now();
  let milliseconds = 0;
  for await (const slice of generateSlices(generator, labels, ...noises, requested.position)) {
    sheet.put(slice.first, slice.images);
    milliseconds += slice.milliseconds;
    const isOutdated = request !== requests;
    if (isOutdated && performance.now() - start > MAX_OUTDATED_MILLISECONDS) return;
  }
  const names = facts.namesOf(requested.labels, generator.info);
  const description = `${names}, ${requested.count} of each, generated with seed ${requested.seed}`;
  $("sheet").setAttribute("aria-label", description);
  showFacts(requested, labels.length, milliseconds);
  writeAddress(requested);
  $("save").disabled = false;
  document.documentElement.dataset.generated = request; // tests wait for it
}

function noiseOf(seed, noiseDim) {
  return (
    noises.find((noise) => noise.seed === seed && noise.noiseDim === noiseDim) ??
    new SeedNoise(seed, noiseDim)
  );
}

/* Output */

/** Show an error, or clear it. */
function showError(error) {
  const isExpected = error === null || error instanceof PageError;
  $("error").textContent = isExpected ? (error?.message ?? "") : `${error}; reload the page`;
  if (error) $("error").scrollIntoView({ block: "nearest" });
  if (!isExpected) console.error(error);
}

function showFacts(requested, images, milliseconds) {
  $("latency").textContent = facts.latency(images, milliseconds);
  $("runs-on").textContent = facts.provider(generator);
  $("model").textContent = facts.model(generator);
  const path = isShipped() ? null : generator.source;
  const words = facts.command(requested, generator.info, path);
  const isLong = words.join(" ").length > MAX_COMMAND_LENGTH;
  $("command-row").hidden = requested.position !== 0 || isLong; // cgan-run does not interpolate
  const spans = (isLong ? [] : words).map((part) => {
    const span = document.createElement("span"); // an option and its value share a line
    span.textContent = part;
    return [span, " "];
  });
  $("command").replaceChildren(...spans.flat());
}

/* Models */

let shipped = null;

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
  const { classNames } = opened.info;
  if (JSON.stringify(previous?.info.classNames) !== JSON.stringify(classNames)) {
    Object.assign(state, withLabels(allLabels()));
    listClasses();
  }
  $("shipped").hidden = isShipped();
  $("title").textContent = isShipped() ? "Handwritten digits" : "Generated images";
  if (previous && previous !== shipped) previous.close().catch(console.error);
}

function listClasses() {
  const isDigits = facts.hasDigitClasses(generator.info);
  $("classes-legend").textContent = isDigits ? "Digit" : "Class";
  $("number-field").hidden = !isDigits;
  $("classes").classList.toggle("named", !isDigits);
  const listed = generator.info.classNames.slice(0, MAX_IMAGES);
  const choices = [["all", "All"], ...listed.entries()];
  $("classes").replaceChildren(
    ...choices.map(([value, name]) => {
      const radio = document.createElement("input");
      Object.assign(radio, { type: "radio", name: "class", value });
      radio.addEventListener("change", () => {
        Object.assign(state, withLabels(value === "all" ? allLabels() : [value]));
        applyState();
      });
      const label = document.createElement("label");
      label.append(radio, value === "all" ? name : displayed(name));
      return label;
    }),
  );
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
    if (current !== generator) return; // the model was replaced meanwhile
    $("provider").value = previous;
    return showError(error);
  }
  if (current === generator) await requestSheet();
}

/* Events */

async function save() {
  await generation;
  const link = document.createElement("a");
  const { height, width } = generator.info;
  const scale = Math.min(MAX_PNG_SCALE, Math.floor(SAVED_SIDE / Math.max(height, width)));
  const png = await toPng(sheet.pixels, sheet.width, sheet.channels, Math.max(1, scale));
  link.href = URL.createObjectURL(png);
  link.download = facts.fileName(state, generator.info);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function listen() {
  const parsers = {
    number: (text) => withLabels(text ? parseNumber(text) : allLabels()),
    count: (text) => ({ count: parseCount(text, state.labels) }),
    seed: (text) => ({ seed: parseSeed(text) }),
    to: (text) => ({ to: parseSeed(text) }),
    position: (text) => ({ position: Number(text) / 100 }),
  };
  for (const [id, parse] of Object.entries(parsers)) {
    $(id).addEventListener("input", ({ target }) => applyField(target, parse));
  }
  $("new-seed").addEventListener("click", () => {
    state.seed = BigInt(crypto.getRandomValues(new Uint32Array(1))[0]);
    applyState();
  });
  // A field that was left empty shows the current value again.
  $("controls").addEventListener("focusout", () => setTimeout(showState));
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("provider").addEventListener("change", applyProvider);
  $("save").addEventListener("click", save);
  $("open").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) openFile(target.files[0]);
    target.value = ""; // so that the same file can be opened again
  });
  $("shipped").addEventListener("click", async () => {
    await switchTo(shipped);
    await applyState();
    await applyProvider();
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  for (const type of ["dragleave", "drop"]) {
    addEventListener(type, () => document.body.classList.remove("dropping"));
  }
  addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) openFile(file);
  });
  addEventListener("hashchange", () => {
    if (!isShipped()) return;
    readAddress();
    applyState();
  });
}

async function start() {
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

document.documentElement.dataset.started = ""; // started.js looks for it
start();
