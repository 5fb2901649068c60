/** The page: what the visitor asks for, and what is drawn. */
import { SeedNoise, drawn } from "./drawing.mjs";
import { InputError, ModelError, PageError, ProviderError } from "./errors.mjs";
import * as facts from "./facts.mjs";
import { Generator } from "./generator.mjs";
import { SEEDS } from "./noise.mjs";
import { keepOffline } from "./offline.mjs";
import { toPng } from "./png.mjs";
import { Sheet } from "./sheet.mjs";

const SHIPPED_MODEL = "digits.onnx";
const MOST_IMAGES = 1000;
const PNG_SCALE = 4;
const LONGEST_DRAWING = 100; // milliseconds that a sheet out of date may still take

const $ = (id) => document.getElementById(id);
const sheet = new Sheet($("sheet"));
const state = { labels: [], count: 10, seed: 1n, to: 2n, way: 0 };
let generator = null;
let noises = []; // SeedNoise of both ends of the walk

/* What is asked for */

function everyLabel() {
  return generator.info.classNames.map((_, label) => label);
}

function isEveryLabel(labels) {
  return String(labels) === String(everyLabel());
}

/** Return the labels of a number's digits. */
function labelsOf(number) {
  return [...number].map((digit) => {
    const label = generator.info.classNames.indexOf(digit);
    if (label < 0) throw new InputError(`"${digit}" is not a digit; type a number such as 2026`);
    return label;
  });
}

function parseSeed(text) {
  if (!/^[0-9]{1,20}$/.test(text) || BigInt(text) >= SEEDS) {
    throw new InputError("a seed is a whole number from 0 to 2^64 - 1; type another one");
  }
  return BigInt(text);
}

function parseCount(text, labels) {
  const count = Number(text);
  if (!/^[0-9]{1,9}$/.test(text) || count < 1 || count > mostOf(labels)) {
    throw new InputError(
      `up to ${MOST_IMAGES} images are drawn at once; choose a count from 1 to ${mostOf(labels)}`,
    );
  }
  return count;
}

/** Return how many of each of these labels are drawn at most. */
function mostOf(labels) {
  return Math.max(1, Math.floor(MOST_IMAGES / labels.length));
}

/** Take what a field says into the state, or say what is wrong with it; the sheet stays. */
function take(field, read) {
  try {
    Object.assign(state, read(field.value.trim()));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    field.setAttribute("aria-invalid", "true");
    return say(error);
  }
  accept();
}

/** Show that the state is understood, and draw it. */
function accept() {
  say(null);
  for (const field of document.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
  }
  showState();
  return redraw();
}

/** Return the state with these labels, and no more images than are drawn at once. */
function withLabels(labels) {
  return { labels, count: Math.min(state.count, mostOf(labels)) };
}

/** Show the state, except in a field that is being typed in or is wrong. */
function showState() {
  const { labels, count, seed, to, way } = state;
  const one = labels.length === 1 ? String(labels[0]) : null;
  const chosen = isEveryLabel(labels) ? "all" : one;
  for (const radio of $("classes").querySelectorAll("input"))
    radio.checked = radio.value === chosen;
  const values = { number: facts.namesOf(labels, generator.info), count, seed, to };
  for (const [id, value] of Object.entries(values)) {
    const isLeft = document.activeElement !== $(id) && !$(id).hasAttribute("aria-invalid");
    if (isLeft) $(id).value = value;
  }
  $("from").value = seed;
  $("way").value = way * 100;
  $("way").setAttribute("aria-valuetext", `${Math.round(way * 100)} % of the way`);
}

/** Keep the state in the address, so that a link shows the same digits. */
function writeAddress({ labels, count, seed, to, way }) {
  if (!isShipped()) return; // a file of the visitor's own has no address
  const parts = { digits: facts.namesOf(labels, generator.info), count, seed };
  if (way) Object.assign(parts, { to, way });
  const address = `#${new URLSearchParams(parts)}`;
  if (location.hash !== address) history.replaceState(null, "", address);
}

function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const read = {
    digits: (text) => (state.labels = text ? labelsOf(text.slice(0, 20)) : everyLabel()),
    count: (text) => (state.count = parseCount(text, state.labels)),
    seed: (text) => (state.seed = parseSeed(text)),
    to: (text) => (state.to = parseSeed(text)),
    way: (text) => (state.way = Math.min(1, Math.max(0, Number(text) || 0))),
  };
  for (const [key, take] of Object.entries(read)) {
    try {
      if (parts.has(key)) take(parts.get(key));
    } catch (error) {
      if (!(error instanceof InputError)) throw error; // an address typed wrong: the default
    }
  }
}

/* What is drawn */

let asked = 0; // drawings so far
let drawing = null; // the promise of an end to those under way

/** Draw the state. While one drawing is under way, others wait and only the newest is made. */
function redraw() {
  asked++;
  drawing ??= drawUntilNothingIsAsked().finally(() => (drawing = null));
  return drawing;
}

async function drawUntilNothingIsAsked() {
  for (let made = 0; made !== asked;) {
    made = asked;
    const mine = generator;
    try {
      await drawSheet(made, { ...state });
    } catch (error) {
      if (mine === generator) await fallBack(error); // another one was let go of in between
    }
  }
}

/** A GPU can be lost at any time; WebAssembly cannot. */
async function fallBack(error) {
  if (generator.provider === "wasm") return say(error);
  console.warn(error);
  await generator.use("wasm");
  $("provider").value = "wasm";
  say(new ProviderError("WebGPU failed while drawing; WebAssembly goes on"));
  asked++;
}

async function drawSheet(number, now) {
  const { height, width, noiseDim } = generator.info;
  const wanted = now.labels.length;
  const labels = Array.from({ length: wanted * now.count }, (_, i) => now.labels[i % wanted]);
  const columns = wanted > 1 ? wanted : Math.ceil(Math.sqrt(now.count));
  noises = [noiseOf(now.seed, noiseDim), noiseOf(now.to, noiseDim)];
  sheet.layOut(labels.length, columns, height, width);
  const began = performance.now();
  let milliseconds = 0;
  for await (const slice of drawn(generator, labels, ...noises, now.way)) {
    sheet.put(slice.first, slice.images);
    milliseconds += slice.milliseconds;
    if (number !== asked && performance.now() - began > LONGEST_DRAWING) return;
  }
  const names = facts.namesOf(now.labels, generator.info);
  const description = `${names}, ${now.count} of each, drawn with seed ${now.seed}`;
  $("sheet").setAttribute("aria-label", description);
  showFacts(now, labels.length, milliseconds);
  writeAddress(now);
  $("save").disabled = false;
  document.documentElement.dataset.drawn = number; // for whoever waits for it
}

function noiseOf(seed, noiseDim) {
  return (
    noises.find((each) => each.seed === seed && each.noiseDim === noiseDim) ??
    new SeedNoise(seed, noiseDim)
  );
}

/* What is told */

function say(error) {
  const isOurs = error instanceof PageError;
  $("error").textContent =
    error === null ? "" : isOurs ? error.message : `${error}; reload the page`;
  if (error) $("error").scrollIntoView({ block: "nearest" });
  if (error && !isOurs) console.error(error);
}

function showFacts(now, images, milliseconds) {
  $("latency").textContent = facts.latency(images, milliseconds);
  $("runs-on").textContent = facts.provider(generator);
  $("model").textContent = facts.model(generator);
  $("command-row").hidden = now.way !== 0; // cgan-run does not walk
  const path = isShipped() ? null : generator.source;
  const spans = facts.command(now, generator.info, path).map((part) => {
    const span = document.createElement("span"); // a line never ends inside of an option
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
  const response = await fetch(SHIPPED_MODEL);
  if (!response.ok) throw new ModelError(`${SHIPPED_MODEL} is not on this host; build it again`);
  return Generator.open(new Uint8Array(await response.arrayBuffer()), SHIPPED_MODEL);
}

/** Draw with a model from now on. */
async function show(opened) {
  const before = generator;
  generator = opened;
  const { classNames } = opened.info;
  if (before?.info.classNames.join("\n") !== classNames.join("\n")) {
    Object.assign(state, withLabels(everyLabel()));
    listClasses();
  }
  $("shipped").hidden = isShipped();
  if (before && before !== shipped) before.close().catch(console.error);
}

function listClasses() {
  const isDigits = facts.drawsDigits(generator.info);
  $("classes-legend").textContent = isDigits ? "Digit" : "Class";
  $("number-field").hidden = !isDigits;
  $("classes").classList.toggle("named", !isDigits);
  const choices = [["all", "All"], ...generator.info.classNames.entries()];
  $("classes").replaceChildren(
    ...choices.map(([value, name]) => {
      const radio = Object.assign(document.createElement("input"), {
        type: "radio",
        name: "class",
        value,
      });
      radio.addEventListener("change", () => {
        Object.assign(state, withLabels(value === "all" ? everyLabel() : [value]));
        accept();
      });
      const label = document.createElement("label");
      label.append(radio, name);
      return label;
    }),
  );
}

async function openFile(file) {
  try {
    await show(await Generator.open(new Uint8Array(await file.arrayBuffer()), file.name));
  } catch (error) {
    return say(error); // what was drawn stays
  }
  await accept();
  await chooseProvider();
}

/** Give the generator the provider that the visitor chose. */
async function chooseProvider() {
  const wanted = $("provider").value;
  const mine = generator;
  const before = mine.provider;
  try {
    await (wanted === "auto" ? mine.useFastest() : mine.use(wanted));
  } catch (error) {
    if (mine !== generator) return; // let go of in between
    $("provider").value = before;
    return say(error);
  }
  if (mine === generator) await redraw();
}

/* What the visitor does */

async function save() {
  await drawing;
  const { pixels, width } = sheet.page;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await toPng(pixels, width, PNG_SCALE));
  link.download = facts.fileName(state, generator.info);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function listen() {
  $("number").addEventListener("input", ({ target }) =>
    take(target, (text) => withLabels(text ? labelsOf(text) : everyLabel())),
  );
  $("count").addEventListener("input", ({ target }) =>
    take(target, (text) => ({ count: parseCount(text, state.labels) })),
  );
  $("seed").addEventListener("input", ({ target }) =>
    take(target, (text) => ({ seed: parseSeed(text) })),
  );
  $("to").addEventListener("input", ({ target }) =>
    take(target, (text) => ({ to: parseSeed(text) })),
  );
  $("way").addEventListener("input", ({ target }) => {
    state.way = Number(target.value) / 100;
    accept();
  });
  $("new-seed").addEventListener("click", () => {
    state.seed = BigInt(crypto.getRandomValues(new Uint32Array(1))[0]);
    accept();
  });
  // An emptied field shows again what is drawn.
  $("controls").addEventListener("focusout", () => setTimeout(showState));
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("provider").addEventListener("change", chooseProvider);
  $("save").addEventListener("click", save);
  $("open").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) openFile(target.files[0]);
    target.value = ""; // so that the same file can be opened again
  });
  $("shipped").addEventListener("click", async () => {
    await show(shipped);
    await accept();
    await chooseProvider();
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  for (const kind of ["dragleave", "drop"]) {
    addEventListener(kind, () => document.body.classList.remove("dropping"));
  }
  addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) openFile(file);
  });
  addEventListener("hashchange", () => {
    if (!isShipped()) return;
    readAddress();
    accept();
  });
}

async function start() {
  try {
    shipped = await openShipped();
  } catch (error) {
    $("latency").textContent = "nothing yet";
    return say(error);
  }
  await show(shipped);
  readAddress();
  listen();
  await accept();
  await chooseProvider();
  if (await keepOffline()) $("offline").textContent = "Works offline now.";
}

start();
