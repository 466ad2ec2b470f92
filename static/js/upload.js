// File list, drag and drop, and upload progress. The form works without this script.
const form = document.getElementById("upload");
const drop = document.getElementById("drop");
const input = document.getElementById("files");
const folder = document.getElementById("folder");
const list = document.getElementById("chosen");
const clear = document.getElementById("clear");
const send = form.querySelector("button[type=submit]");
const progress = document.getElementById("progress");
const bar = progress.querySelector("progress");
const progressText = document.getElementById("progress-text");
const announce = document.getElementById("announce");
const problems = document.getElementById("problems");
const limit = Number(form.dataset.maxBytes) || Infinity;
const most = Number(form.dataset.maxFiles);
const words = JSON.parse(form.dataset.words); // in the reader's language

let files = [];
let refused = new Set(); // names of files that the server refused
let busy = false;

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

function row(file) {
  const item = document.createElement("li");
  const remove = element("button", say("remove"), "button-plain");
  remove.type = "button";
  remove.setAttribute("aria-label", say("removeFile", { name: file.name }));
  remove.disabled = busy;
  remove.addEventListener("click", () => {
    files = files.filter((other) => other !== file);
    show();
    input.focus();
  });
  const note = refused.has(file.name)
    ? element("span", say("refused"), "refused")
    : element("span", size(file.size), "quiet");
  item.append(element("span", file.name, "filename"), note, remove);
  return item;
}

function show() {
  list.replaceChildren(...files.map(row));
  clear.hidden = files.length === 0;
  clear.disabled = send.disabled = busy;
  send.textContent = files.length > 1 ? say("readMany", { number: files.length }) : say("read");
}

// Identify a file in a folder by its relative path: names such as IMG0001 repeat.
function path(file) {
  return file.webkitRelativePath || file.name;
}

// Files beside images on a disc or in a folder: DICOMDIR, notes, leftovers of file managers.
function mayBeImage(file) {
  return !/(^|\/)(\.[^/]*|DICOMDIR|[^/]*\.(txt|md|html?|pdf|xml|inf|exe|ini|db))$/i.test(path(file));
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
  return found.filter(mayBeImage);
}

async function dropped(items) {
  const things = [...items]
    .filter((item) => item.kind === "file")
    .map((item) => [item.webkitGetAsEntry(), item.getAsFile()]);
  add((await Promise.all(things.map(([entry, file]) => (entry ? walk(entry) : [file])))).flat());
}

function add(more) {
  const known = new Set(files.map((file) => `${path(file)} ${file.size} ${file.lastModified}`));
  files.push(...[...more].filter((file) => !known.has(`${path(file)} ${file.size} ${file.lastModified}`)));
  input.value = "";
  show();
  announce.textContent = say("chosen", { number: files.length });
}

function complain(section) {
  working(false);
  problems.replaceChildren(section);
  refused = new Set([...section.querySelectorAll("[data-file]")].map((item) => item.dataset.file));
  show();
  problems.focus();
  problems.scrollIntoView({ block: "start" });
}

function problem(text) {
  const section = element("section", "", "problems");
  section.setAttribute("role", "alert");
  section.append(element("h2", say("nothing")), element("p", text));
  complain(section);
}

function working(state) {
  busy = state;
  progress.hidden = !state;
  form.setAttribute("aria-busy", String(state));
  show();
}

function report(event) {
  if (!event.lengthComputable) return;
  const percent = Math.floor((100 * event.loaded) / event.total);
  const quarter = Math.floor(percent / 25) * 25;
  bar.value = percent;
  progressText.textContent = say("progress", { percent, size: size(event.total) });
  const heard = say("heard", { percent: quarter });
  if (quarter && announce.textContent !== heard) announce.textContent = heard;
}

function reading() {
  bar.removeAttribute("value"); // the duration of the analysis is unknown
  progressText.textContent = announce.textContent = say("reading");
}

function answered(request) {
  const page = request.response;
  const target = new URL(request.responseURL || location.href);
  if (request.status === 200 && target.pathname !== new URL(form.action).pathname) return location.assign(target);
  const section = page?.querySelector(".problems");
  if (section) return complain(document.importNode(section, true));
  const message = page?.getElementById("error-message");
  problem(message ? message.textContent : say("status", { status: request.status }));
}

// Get a fresh token before the upload: the session may have ended since the page was opened.
function renew(request) {
  const token = request.response?.querySelector("#upload input[name=csrf_token]");
  if (request.status !== 200) return answered(request);
  if (!token) {
    return problem(say("signedOut"));
  }
  form.elements.csrf_token.value = token.value;
  transfer();
}

function ask(method) {
  const request = new XMLHttpRequest();
  request.open(method, form.action);
  request.responseType = "document";
  request.addEventListener("error", () => problem(say("broken")));
  return request;
}

function transfer() {
  const body = new FormData(form);
  body.delete("files");
  for (const file of files) body.append("files", file, path(file));
  const request = ask("POST");
  request.upload.addEventListener("progress", report);
  request.upload.addEventListener("load", reading);
  request.addEventListener("load", () => answered(request));
  request.send(body);
}

// Beginnings of the formats that can be read: [offset, bytes]; DICOM also without its preamble.
const READABLE = [
  [128, "DICM"],
  [0, "\x02\0"],
  [0, "\x08\0"],
  [0, "\0\x08"],
  [0, "\x89PNG"],
  [0, "\xff\xd8\xff"],
  [0, "II*\0"],
  [0, "MM\0*"],
  [0, "II+\0"],
  [0, "MM\0+"],
  [0, "BM"],
  [0, "P5"],
  [0, "P2"],
];

// Reason why a file that is named like an image will be refused; null if it may be one. Others are left to the server.
async function objection(file) {
  if (!/\.(dcm|dicom|dic|png|jpe?g|tiff?|bmp|pgm)$/i.test(file.name)) return null;
  if (file.size === 0) return say("empty");
  const head = String.fromCharCode(...new Uint8Array(await file.slice(0, 132).arrayBuffer()));
  return READABLE.some(([from, magic]) => head.startsWith(magic, from)) ? null : say("foreign");
}

// Name the files that will be refused; true if there are any.
async function hasWrongFiles() {
  const section = element("section", "", "problems");
  const found = element("ul", "");
  for (const file of files) {
    const reason = await objection(file);
    if (!reason) continue;
    const item = element("li", "");
    item.dataset.file = file.name;
    item.append(element("b", file.name), ` ${reason}`);
    found.append(item);
  }
  if (!found.childElementCount) return false;
  section.setAttribute("role", "alert");
  section.append(element("h2", say("nothing")), found);
  complain(section);
  return true;
}

async function upload(event) {
  event.preventDefault();
  if (busy) return;
  if (files.length === 0) return problem(say("none"));
  if (files.length > most) return problem(say("tooMany", { number: files.length, most }));
  const total = files.reduce((sum, file) => sum + file.size, 0);
  if (total > limit) return problem(say("tooLarge", { size: size(total), limit: size(limit) }));
  problems.replaceChildren();
  refused = new Set();
  working(true);
  if (await hasWrongFiles()) return;
  bar.value = 0;
  progressText.textContent = "";
  const request = ask("GET");
  request.addEventListener("load", () => renew(request));
  request.send();
}

input.required = false;
form.addEventListener("submit", upload);
input.addEventListener("change", () => add(input.files));
folder.addEventListener("change", () => {
  add([...folder.files].filter(mayBeImage));
  folder.value = "";
});
clear.addEventListener("click", () => {
  files = [];
  refused = new Set();
  problems.replaceChildren();
  show();
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
  if (!busy) dropped(event.dataTransfer.items);
});
window.addEventListener("pageshow", (event) => event.persisted && working(false));
