// File list, check before anything is sent as a whole, and the exams one after another. The form works without it.
import { objection } from "./upload/objections.js";
import { entriesOf, mayBeImage, sourceOf } from "./upload/sources.js";

const form = document.getElementById("upload");
const drop = document.getElementById("drop");
const input = document.getElementById("files");
const folder = document.getElementById("folder");
const list = document.getElementById("chosen");
const clear = document.getElementById("clear");
const again = document.getElementById("again");
const send = form.querySelector("button[type=submit]");
const progress = document.getElementById("progress");
const bar = progress.querySelector("progress");
const progressText = document.getElementById("progress-text");
const announce = document.getElementById("announce");
const summary = document.getElementById("plan");
const problems = document.getElementById("problems");
const fields = document.getElementById("view-fields");
const limit = Number(form.dataset.maxBytes) || Infinity;
const most = Number(form.dataset.maxFiles); // in one request
const mostChecked = Number(form.dataset.mostChecked);
const beginning = Number(form.dataset.beginning);
const words = JSON.parse(form.dataset.words); // in the reader's language

let files = []; // sources
let refused = new Map(); // the reasons why files will be refused, or were
let facts = new Map(); // what the check told about each file
let chosenViews = new Map(); // side and view of a file, as the reader has set them
let plan = null; // exams to be sent, each with its files and the stored exam; null without a check
let adding = Promise.resolve();
let examined = Promise.resolve();
let turn = 0;
let busy = false;

class Told extends Error {} // an error whose message is for the reader

function say(name, values = {}) {
  return words[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

function size(bytes) {
  if (bytes < 1e3) return `${bytes} B`;
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

function noteOn(file) {
  if (refused.has(file)) return element("span", say("refused"), "refused");
  const { stored, skipped, archive } = facts.get(file) ?? {};
  const note = (skipped && say("skipped")) || (archive && say("archive")) || size(file.size);
  if (!stored) return element("span", note, "quiet");
  const link = element("a", say("stored"));
  link.href = stored.address;
  return link;
}

// Selects for side and view of a file that does not state both.
function viewFields(file) {
  const known = facts.get(file);
  const made = fields.content.firstElementChild.cloneNode(true);
  for (const select of made.querySelectorAll("select")) {
    const name = select.dataset.name;
    select.previousElementSibling.textContent = say(name, { name: file.name });
    select.value = chosenViews.get(file)?.[name] ?? known[name] ?? "";
    select.disabled = busy;
    select.addEventListener("change", () => {
      chosenViews.set(file, { ...chosenViews.get(file), [name]: select.value });
    });
  }
  return made;
}

function row(file) {
  const item = document.createElement("li");
  const remove = element("button", say("remove"), "button-plain");
  remove.type = "button";
  remove.setAttribute("aria-label", say("removeFile", { name: file.name }));
  remove.disabled = busy;
  remove.addEventListener("click", () => {
    choose(files.filter((other) => other !== file));
    input.focus();
  });
  item.append(element("span", file.path, "filename"), noteOn(file), remove);
  if (facts.get(file)?.without_view) item.append(viewFields(file));
  return item;
}

function show() {
  list.replaceChildren(...files.map(row));
  clear.hidden = files.length === 0;
  clear.disabled = send.disabled = again.disabled = busy;
  const packed = [...facts.values()].some((each) => each.archive);
  send.textContent = files.length > 1 && !packed ? say("readMany", { number: files.length }) : say("read");
  const known = plan?.filter((exam) => exam.stored).length ?? 0;
  again.closest("label").hidden = known === 0;
  const counted = (plan?.length ?? 0) > 1 ? [say("exams", { number: plan.length })] : [];
  if (known) counted.push(known === 1 ? say("oneStored") : say("manyStored", { number: known }));
  if (packed) counted.push(say("packed"));
  if ([...facts.values()].some((each) => each.without_view)) counted.push(say("withoutView"));
  summary.textContent = counted.join(" ");
}

async function walk(entry) {
  if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
  const reader = entry.createReader();
  const found = [];
  let part;
  do {
    part = await new Promise((done, failed) => reader.readEntries(done, failed)); // in batches
    for (const inner of part) found.push(...(await walk(inner)));
  } while (part.length);
  return found.filter((file) => mayBeImage(file.name));
}

async function dropped(items) {
  const things = [...items]
    .filter((item) => item.kind === "file")
    .map((item) => [item.webkitGetAsEntry(), item.getAsFile()]);
  await add((await Promise.all(things.map(([entry, file]) => (entry ? walk(entry) : [file])))).flat());
}

async function add(more) {
  const chosen = [...more];
  input.value = "";
  const unpacked = chosen.map((file) => entriesOf(file, mostChecked).catch(() => null));
  const added = (await Promise.all(unpacked)).flatMap((found, place) => found ?? [sourceOf(chosen[place])]);
  const known = new Set(files.map((file) => file.key));
  choose([...files, ...added.filter((file) => !known.has(file.key))]);
  announce.textContent = say("chosen", { number: files.length });
}

// Take a new list of files, and examine it.
function choose(chosen) {
  files = chosen;
  refused = new Map([...refused].filter(([file]) => files.includes(file)));
  plan = null;
  facts = new Map();
  show();
  examined = examine();
}

// Name wrong files by their first bytes, then let the server check the beginnings of all.
async function examine() {
  const mine = ++turn;
  const objections = await Promise.all(files.map((file) => objection(file).catch(() => null)));
  if (mine !== turn) return;
  for (const [place, reason] of objections.entries()) if (reason) refused.set(files[place], say(reason));
  show();
  if (files.length === 0 || files.length > mostChecked || refused.size) return;
  const found = await checked().catch(() => null); // without a connection or a session, sending says so
  if (mine !== turn || found === null) return;
  for (const [place, file] of found.files.entries()) {
    facts.set(files[place], file);
    if (file.problem) refused.set(files[place], file.problem);
  }
  plan = found.exams.map((exam) => ({ stored: exam.stored, files: exam.files.map((place) => files[place]) }));
  for (const exam of plan) for (const file of exam.files) facts.get(file).stored = exam.stored;
  show();
  if (summary.textContent) announce.textContent = summary.textContent;
}

async function checked() {
  const body = new FormData();
  body.append("csrf_token", form.elements.csrf_token.value);
  for (const file of files) {
    body.append("files", await file.beginning(beginning), file.path);
    body.append("sizes", file.size);
  }
  const options = { method: "POST", body, headers: { Accept: "application/json" } };
  const answer = await fetch(form.dataset.check, options);
  return answer.ok && !answer.redirected ? answer.json() : null;
}

function working(state) {
  busy = state;
  progress.hidden = !state;
  form.setAttribute("aria-busy", String(state));
  show();
}

function complain(title, content) {
  const section = element("section", "", "problems");
  section.setAttribute("role", "alert");
  section.append(element("h2", title), ...content);
  working(false);
  problems.replaceChildren(section);
  problems.focus();
  problems.scrollIntoView({ block: "start" });
}

function problem(text) {
  complain(say("nothing"), [element("p", text)]);
}

function listOf(found) {
  const made = element("ul", "");
  for (const [name, reason] of found) {
    const item = element("li", "");
    if (name) item.append(element("b", name), " ");
    item.append(reason);
    made.append(item);
  }
  return made;
}

// Get a fresh token before the upload: the session may have ended since the page was opened.
async function renew() {
  const answer = await fetch(form.action);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const token = page.querySelector("#upload input[name=csrf_token]");
  if (!answer.ok) {
    const message = page.getElementById("error-message")?.textContent;
    throw new Told(message ?? say("status", { status: answer.status }));
  }
  if (!token) throw new Told(say("signedOut"));
  form.elements.csrf_token.value = token.value;
}

function report(event, exam, exams) {
  if (!event.lengthComputable) return;
  const percent = Math.floor((100 * event.loaded) / event.total);
  const quarter = Math.floor(percent / 25) * 25;
  if (exams > 1) {
    progressText.textContent = say("sending", { exam, exams, percent });
    return;
  }
  bar.value = percent;
  progressText.textContent = say("progress", { percent, size: size(event.total) });
  const heard = say("heard", { percent: quarter });
  if (quarter && announce.textContent !== heard) announce.textContent = heard;
}

function reading(exam, exams) {
  if (exams === 1) bar.removeAttribute("value"); // the duration of the analysis is unknown
  progressText.textContent = announce.textContent = exams > 1 ? say("readingOf", { exam, exams }) : say("reading");
}

async function bodyOf(chosen) {
  const body = new FormData();
  body.append("csrf_token", form.elements.csrf_token.value);
  for (const file of chosen) {
    const whole = await file.whole().catch(() => {
      throw new Told(say("unreadable", { name: file.path }));
    });
    body.append("files", whole, file.path);
    for (const name of ["laterality", "view"]) {
      body.append(name, chosenViews.get(file)?.[name] ?? "");
    }
  }
  return body;
}

// Send the files of an exam; return its answer.
function transfer(body, exam, exams) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => report(event, exam, exams));
    request.upload.addEventListener("load", () => reading(exam, exams));
    request.addEventListener("error", () => failed(new Told(say("broken"))));
    request.addEventListener("load", () => {
      const type = request.getResponseHeader("Content-Type") ?? "";
      const answer = type.startsWith("application/json") ? JSON.parse(request.responseText) : null;
      if (answer?.exams || answer?.problems) return done(answer);
      const signedOut = request.status === 200 && answer === null;
      failed(new Told(signedOut ? say("signedOut") : (answer?.error ?? say("status", { status: request.status }))));
    });
    request.send(body);
  });
}

// Send exams one after another. Those that are refused do not keep the others from being stored.
async function sendAll(exams) {
  const [stored, wrong] = [[], []];
  bar.max = exams.length > 1 ? exams.length : 100;
  bar.value = 0;
  try {
    for (const [place, exam] of exams.entries()) {
      const answer = await transfer(await bodyOf(exam.files), place + 1, exams.length);
      if (exams.length > 1) bar.value = place + 1;
      if (answer.problems) {
        wrong.push(...answer.problems.map((one) => [one.file, one.problem]));
        const named = new Map(answer.problems.map((one) => [one.file, one.problem]));
        for (const file of exam.files) if (named.has(file.name)) refused.set(file, named.get(file.name));
      } else {
        stored.push(...answer.exams);
        files = files.filter((file) => !exam.files.includes(file));
      }
    }
  } catch (error) {
    if (!(error instanceof Told)) throw error;
    wrong.push(["", error.message]);
  }
  return [stored, wrong];
}

function leave(exams) {
  if (exams.length === 1) return location.assign(exams[0].address);
  const known = exams.filter((exam) => exam.stored).length;
  const target = new URL(form.dataset.worklist, location.href);
  target.searchParams.set("taken", exams.length - known);
  if (known) target.searchParams.set("known", known);
  location.assign(target);
}

// Reason why the files cannot be sent; null if they can.
function excess(exams) {
  for (const { files: together } of exams) {
    const total = together.reduce((sum, file) => sum + file.size, 0);
    if (together.length > most) return say("tooMany", { number: together.length, most });
    if (total > limit) return say("tooLarge", { size: size(total), limit: size(limit) });
  }
  return null;
}

async function upload(event) {
  event.preventDefault();
  if (busy) return;
  problems.replaceChildren();
  working(true);
  await adding;
  if (files.length === 0) return problem(say("none"));
  bar.value = 0;
  progressText.textContent = "";
  try {
    await examined;
    const unchecked = [{ files, stored: null }];
    const tooMuch = excess(plan ?? unchecked);
    if (tooMuch) return problem(tooMuch);
    if (refused.size) {
      return complain(say("nothing"), [listOf([...refused].map(([file, reason]) => [file.name, reason]))]);
    }
    await renew();
    if (plan === null) await examine();
    if (refused.size) return problem([...refused.values()].join(" "));
    const all = plan ?? unchecked;
    const known = again.checked ? [] : all.filter((exam) => exam.stored);
    const [stored, wrong] = await sendAll(all.filter((exam) => !known.includes(exam)));
    if (wrong.length === 0) return leave([...known.map((exam) => exam.stored), ...stored]);
    const content = [listOf(wrong)];
    if (stored.length) {
      const link = element("a", say("worklist"));
      link.href = form.dataset.worklist;
      content.push(link);
    }
    complain(
      stored.length ? say("partly", { number: stored.length, exams: all.length - known.length }) : say("nothing"),
      content,
    );
    if (stored.length) choose(files);
  } catch (error) {
    problem(error instanceof Told ? error.message : say("broken"));
  }
}

input.required = false;
form.addEventListener("submit", upload);
input.addEventListener("change", () => {
  adding = add(input.files);
});
folder.addEventListener("change", () => {
  adding = add([...folder.files].filter((file) => mayBeImage(file.webkitRelativePath)));
  folder.value = "";
});
clear.addEventListener("click", () => {
  refused = new Map();
  chosenViews = new Map();
  problems.replaceChildren();
  choose([]);
  input.focus();
});
for (const name of ["dragenter", "dragover"]) {
  window.addEventListener(name, (event) => {
    event.preventDefault(); // a file dropped outside the drop zone must not replace the page
    drop.classList.toggle("over", drop.contains(event.target));
  });
}
window.addEventListener("dragleave", (event) => event.relatedTarget || drop.classList.remove("over"));
window.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (!busy) adding = dropped(event.dataTransfer.items);
});
window.addEventListener("pageshow", (event) => event.persisted && working(false));
