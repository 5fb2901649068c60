/** Functions that read and change the elements of the page. */
import { PageError } from "../errors.js";
import { displayed } from "../model/escaping.js";
import { hasDigitClasses } from "./captions.js";
import { listedNames } from "./request.js";

const MAX_COMMAND_LENGTH = 4000; // largest number of characters; a class name may be longer
const COPIED_MILLISECONDS = 2000; // time for which a button shows "Copied"

export const $ = (id) => document.getElementById(id);

/** Show an error, or clear it. */
export function showError(error) {
  const isExpected = error === null || error instanceof PageError;
  $("error").textContent = isExpected ? (error?.message ?? "") : `${error}; reload the page`;
  if (error) $("error").scrollIntoView({ block: "nearest" });
  if (!isExpected) console.error(error);
}

/** Show the words of a command, or a note if it is too long. */
export function showCommand(words) {
  const isShown = words.join(" ").length <= MAX_COMMAND_LENGTH;
  $("command").hidden = !isShown;
  $("no-command").hidden = isShown;
  $("copy-command").disabled = !isShown;
  const spans = (isShown ? words : []).map((part, i) => {
    const span = document.createElement("span"); // an option and its value share a line
    span.textContent = part;
    return i ? [" ", span] : [span];
  });
  $("command").replaceChildren(...spans.flat());
}

/** List the classes of a model. The page calls `select` with a label, or with "all". */
export function listClasses(info, select) {
  const isDigits = hasDigitClasses(info);
  $("classes-legend").textContent = isDigits ? "Digit" : "Class";
  $("same-noise-label").textContent = `Same noise for all ${isDigits ? "digits" : "classes"}`;
  $("number-field").hidden = !isDigits;
  $("classes").classList.toggle("named", !isDigits);
  const choices = [["all", "All"], ...listedNames(info).entries()];
  $("classes").replaceChildren(
    ...choices.map(([value, name]) => {
      const radio = document.createElement("input");
      Object.assign(radio, { type: "radio", name: "class", value });
      radio.addEventListener("change", () => select(value));
      const label = document.createElement("label");
      label.className = "choice";
      label.append(radio, value === "all" ? name : displayed(name));
      return label;
    }),
  );
}

/** Copy the string that textOf() returns when a button is pressed. */
export function copyOnClick(button, textOf) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const text = textOf();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const message = `this browser does not let the page copy text; copy it from here: ${text}`;
      return showError(new PageError(message));
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = label), COPIED_MILLISECONDS);
  });
}

/** Call a function with each file that the visitor selects, or drops onto the page. */
export function listenForFiles(open) {
  $("open").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) open(target.files[0]);
    target.value = ""; // so that the same file can be opened again
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
    if (file) open(file);
  });
}

/** Let the browser download a file. */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
