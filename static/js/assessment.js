// Keyboard entry of the assessment, and findings marked on the images. The form works without this script.
import { keyReader } from "./assessment_keys.js";
import { contradiction, spelled } from "./breast_location.js";
import { refuser } from "./refusal.js";
import { sight } from "./sight.js";
import { workingDraft } from "./working_draft.js";

const KEYS_STORE = "birads-assessment-keys";

/** True for a key that another script took, or that is part of a shortcut or a composed letter. */
const isTaken = (event) =>
  event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing;

/** Fill placeholders of a text, of a page ("{breast}: BI-RADS {category}") or of the catalogue ("%(hours)s o’clock"). */
function fill(text, words) {
  return text.replace(/\{(\w+)\}|%\((\w+)\)[ds]/g, (_, name, other) => words[name ?? other]);
}

function assessment(panel) {
  const form = panel.querySelector("form");
  const status = form.querySelector("[data-assessment-status]");
  const breasts = [...form.querySelectorAll("[data-side]:is(fieldset)")];
  let aimed = breasts;
  const suggestion = document.querySelector("[data-suggested]");
  const wasSeen = sight(suggestion);
  const readKey = keyReader();
  const refusals = JSON.parse(form.dataset.refusals);
  const refuse = refuser(panel.querySelector("[data-refusal]"), form.querySelector("[data-sound]"));
  const draft = workingDraft(form, (stale) => say(stale ? refusals.stale : refusals.lost, true));

  function say(text, missing = false) {
    status.textContent = text;
    status.classList.toggle("missing", missing);
  }

  const breastName = (breast) => breast.querySelector("legend").firstChild.textContent.trim();
  const chosen = (breast) => breast.querySelector("input:checked");

  function describe() {
    for (const breast of breasts) {
      breast.querySelector("[data-words]").textContent = chosen(breast)?.parentElement.title ?? "";
    }
  }

  /** Select breasts; none for a breast that the exam does not have, so that the next key sets nothing. */
  function aim(side) {
    aimed = breasts.filter((breast) => side === "" || breast.dataset.side === side);
    if (!aimed.length) refuse(fill(refusals.breast, { breast: refusals[side] }));
    for (const breast of breasts) breast.classList.toggle("aimed", aimed.includes(breast));
  }

  function choose(category) {
    const fields = aimed.map((breast) => breast.querySelector(`input[value="${category}"]`));
    if (!fields.length) return refuse(refusals.aim);
    if (fields.includes(null)) return refuse(fill(refusals.category, { category }));
    for (const field of fields) field.checked = true;
    describe();
    draft.note();
    say(aimed.map((breast) => fill(form.dataset.chosen, { breast: breastName(breast), category })).join(". "));
    return undefined;
  }

  function chooseDensity(density) {
    form.querySelector(`[name=density][value="${density}"]`).checked = true;
    draft.note();
    say(fill(form.dataset.density, { density }));
  }

  /** Sign, if every breast has a category, no finding contradicts itself, and a suggested text was in sight. */
  function sign() {
    if (!aimed.length) return refuse(refusals.aim);
    if (findings.problem()) return say(findings.problem(), true);
    const missing = breasts.find((breast) => !chosen(breast));
    if (!missing && wasSeen()) return form.requestSubmit(form.querySelector("[data-sign]"));
    if (!missing) {
      suggestion.scrollIntoView({ block: "center" });
      return refuse(refusals.suggestion);
    }
    aim(missing.dataset.side);
    say(fill(form.dataset.missing, { breast: breastName(missing) }), true);
    missing.scrollIntoView({ block: "nearest" });
    return undefined;
  }

  function follow(relation) {
    const link = document.querySelector(`a[rel="${relation}"]`);
    if (link) link.click();
    else refuse(refusals[relation]);
  }

  const findings = makeFindings(form, say, draft.note);
  const run = {
    aim: ({ side }) => aim(side),
    category: ({ category }) => choose(category),
    "await density": () => {},
    density: ({ density }) => chooseDensity(density),
    "refuse density": () => refuse(refusals.density),
    mark: () => (document.querySelector("[data-viewer]") ? findings.mark() : refuse(refusals.images)),
    write: () => form.elements.text.focus(),
    save: () => form.requestSubmit(form.querySelector("[data-save]")),
    next: () => follow("next"),
    previous: () => follow("prev"),
    sign,
  };

  function act(key) {
    const command = readKey(key);
    if (command) run[command.name](command);
    return command !== null;
  }

  function press(event) {
    if (isTaken(event)) return;
    const target = event.target;
    if (isField(target)) {
      if (event.key === "Escape") target.blur();
      else if (event.key === "Enter" && target.matches("input")) event.preventDefault();
      return;
    }
    if (!keys.checked || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && target.closest("a, button, summary")) return; // Enter activates these
    if (event.repeat && event.key === "Enter") return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if ((key.length === 1 || key === "Enter" || key === "Escape") && act(key)) event.preventDefault(); // Shift and the like do not end a sequence
  }

  /** Refuse a key that nothing on the page has taken. */
  function refuseOthers(event) {
    if (isTaken(event)) return;
    if (!keys.checked || isField(event.target) || document.querySelector("dialog[open]")) return;
    if (event.key.length === 1 && event.key !== " ") refuse(fill(refusals.key, { key: event.key.toUpperCase() }));
  }

  const keys = form.querySelector("[data-keys]");
  keys.checked = localStorage.getItem(KEYS_STORE) !== "off";
  keys.addEventListener("change", () => localStorage.setItem(KEYS_STORE, keys.checked ? "on" : "off"));
  form.querySelector("[data-sign]").addEventListener("click", (event) => {
    if (breasts.every(chosen) && !findings.problem() && wasSeen()) return;
    event.preventDefault();
    sign();
  });
  form.addEventListener("change", () => {
    describe();
    findings.check();
  });
  document.addEventListener("keydown", press);
  window.addEventListener("keydown", refuseOthers); // after all others
  aim("");
  describe();
}

/** True if keys type text in the target or choose from a list. */
function isField(target) {
  return target.matches("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox], [type=range])");
}

/** Findings of the form, whether their locations agree, and their marks on the images in the viewer. */
function makeFindings(form, say, changed) {
  const room = document.querySelector("[data-reading-room]") ?? document.documentElement;
  const list = form.querySelector("[data-findings]");
  const blank = form.parentElement.querySelector("[data-blank]");
  const tools = list.querySelector(":scope > .finding-tools");
  let current = null;
  const location = JSON.parse(form.dataset.location);
  let made = 1000; // field names only; displayed numbers are counted separately

  const rows = () => [...list.querySelectorAll("[data-finding]")];
  const field = (row, name) => row.querySelector(`[data-${name}]`);
  const tell = (name, detail) => room.dispatchEvent(new CustomEvent(`birads:${name}`, { detail }));
  const isMarked = (row) => field(row, "x").value !== "" && field(row, "image").value !== "";

  function place(row) {
    return {
      image: field(row, "image").value,
      x: Number(field(row, "x").value),
      y: Number(field(row, "y").value),
    };
  }

  /** Say in each finding that its side, quadrant, clock face and image do not agree. */
  function check() {
    for (const [index, row] of rows().entries()) field(row, "problem").textContent = contradictory(row, index + 1);
  }

  function contradictory(row, number) {
    const chosen = (name) => row.querySelector(`select[name$="-${name}"]`);
    const side = chosen("side").value;
    const fitting = contradiction(location.hours, side, chosen("region").value, chosen("clock").value);
    if (fitting) return fill(location.quadrant, { number, clock: chosen("clock").value, hours: spelled(fitting) });
    const shown = field(row, "image").selectedOptions[0]?.dataset.side;
    return side && shown && side !== shown ? fill(location.side, { number }) : "";
  }

  function draw() {
    check();
    const marks = [];
    for (const [index, row] of rows().entries()) {
      field(row, "number").textContent = index + 1;
      row.classList.toggle("current", row === current);
      if (isMarked(row)) marks.push({ ...place(row), number: index + 1, current: row === current });
      const image = field(row, "image").selectedOptions[0]?.text;
      field(row, "mark-state").textContent = isMarked(row)
        ? fill(form.dataset.marked, { image })
        : form.dataset.unmarked;
      field(row, "show").hidden = !isMarked(row);
    }
    tell("marks", { marks });
  }

  function prepare(row) {
    row.querySelector("select").required = true;
    row.addEventListener("focusin", () => {
      if (current !== row) {
        current = row;
        draw();
      }
    });
    field(row, "image").addEventListener("change", () => move(row, "", ""));
    field(row, "mark").addEventListener("click", () => mark(row));
    field(row, "show").addEventListener("click", () => tell("show", place(row)));
    field(row, "remove").addEventListener("click", () => remove(row));
  }

  function add() {
    made += 1;
    const copy = document.createElement("template");
    copy.innerHTML = blank.innerHTML.replaceAll("NUMBER", made);
    const row = copy.content.querySelector("[data-finding]");
    tools.before(row);
    prepare(row);
    current = row;
    return row;
  }

  function remove(row) {
    row.remove();
    changed();
    if (current === row) current = null;
    draw();
    tools.querySelector("button").focus();
  }

  function move(row, x, y) {
    field(row, "x").value = x;
    field(row, "y").value = y;
    changed();
    draw();
  }

  /** Set a row's mark by the next click on an image; without a row, add one. */
  let waiting = null;
  function mark(row = null) {
    waiting = row;
    tell("mark-mode", { on: true });
    say(form.dataset.mark);
  }

  function marked({ image, x, y }) {
    const row = waiting ?? add();
    waiting = null;
    current = row;
    field(row, "image").value = image;
    const side = field(row, "image").selectedOptions[0]?.dataset.side;
    if (side) row.querySelector('select[name$="-side"]').value = side;
    move(row, x.toFixed(4), y.toFixed(4));
    say("");
    row.querySelector("select").focus();
  }

  list.querySelector("[data-spare]")?.remove();
  for (const row of rows()) prepare(row);
  tools.querySelector("[data-add]").addEventListener("click", () => {
    add().querySelector("select").focus();
    draw();
  });
  tools.querySelector("[data-add-marked]").addEventListener("click", () => mark());
  room.addEventListener("birads:marked", (event) => marked(event.detail));
  draw();
  const problem = () =>
    rows()
      .map((row) => field(row, "problem").textContent)
      .find(Boolean);
  return { mark, check, problem };
}

const panel = document.getElementById("assessment");
if (panel?.querySelector("form")) assessment(panel);
