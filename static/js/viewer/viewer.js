// Viewer of an exam: views in hanging order, tools, and actions on linked views.
//
// Events on the surrounding [data-reading-room] element; x and y are fractions of the image's width and height:
//   birads:mark-mode {on}          the next click in a view sets a mark; also sent with on: false when Escape leaves it
//   birads:marked {image, x, y}    a mark was set
//   birads:marks {marks: [{image, x, y, number, current}]}   draw these marks
//   birads:show {image, x, y}      centre on a point
//   birads:settled                 all visible views are at full resolution

import { AiMarks } from "./ai_marks.js";
import { clamp } from "./geometry.js";
import { hang, units } from "./hanging.js";
import { Heat } from "./heat.js";
import { listen } from "./keys.js";
import { drawOver } from "./marks.js";
import { painted } from "./painted.js";
import { Tools } from "./tools.js";
import * as orientation from "./orientation.js";
import { View } from "./view.js";
import { adjust, asOpened, namedWindow, presetOf } from "./window.js";
import { WindowTools } from "./window_tools.js";

const CLOSER = 1.25;
const ARROW = 60; // pixels panned per arrow key
const WINDOW_STEP = 0.05;
const NARROW = 700; // page pixels of a viewer that is too narrow for eight views
const LAYOUTS = ["eight", "row", "four", "two", "one"]; // eight: two rows of the exam, each above that of the prior

class Viewer {
  linked = true;

  constructor(root) {
    this.root = root;
    this.room = root.closest("[data-reading-room]") ?? root;
    this.texts = JSON.parse(root.dataset.texts);
    this.number = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1 });
    this.allRows = [...root.querySelectorAll(".hang-row")];
    this.rows = this.allRows;
    // Without heat maps while the exam is read blinded.
    this.heat = root.querySelector(".heat-on") && new Heat(root, () => this.redraw());
    this.startsWithHeat = this.heat?.on.checked;
    this.aiMarks =
      root.querySelector(".ai-marks-on") &&
      new AiMarks(root, { changed: () => this.redraw(), show: (...mark) => this.#showAiMark(...mark) });
    this.startsWithAiMarks = this.aiMarks?.on.checked;
    const options = {
      changed: (view, context) => this.#drawn(view, context),
      overlay: (view) => this.heat?.over(view),
      refit: () => this.#fit((view) => view.fitted),
    };
    this.views = [...root.querySelectorAll(".cell")].map((cell) => new View(cell, options));
    [this.active] = this.views;
    this.tools = new Tools(this);
    this.windowTools = new WindowTools(root, (change) => this.#changeLook(change));
    this.commands = this.#commands();
    listen(root, this.commands);
    for (const button of root.querySelectorAll("[data-command]")) {
      button.addEventListener("click", () => this.commands[button.dataset.command]());
    }
    for (const view of this.views) view.cell.addEventListener("focus", () => this.activate(view));
    document.addEventListener("fullscreenchange", () => this.#settle());
    this.#hear();
    this.arrange(this.#firstLayout);
    this.#open();
  }

  // Actions on a view and, if linked, on the others, mirrored for the other breast.

  pan(view, across, down) {
    const [right, below] = view.panBy(across, down);
    this.#together(view, (other, mirrored) => {
      if (other !== view && other.shown) other.follow(mirrored ? -right : right, below);
    });
  }

  // Zoom around a point of the view; factor: a number, or a function of the view.
  zoom(view, factor, x = view.middle[0], y = view.middle[1]) {
    const [shareX, shareY] = [x / view.cell.clientWidth, y / view.cell.clientHeight];
    this.#together(view, (other, mirrored) => {
      const { clientWidth: across, clientHeight: down } = other.cell;
      const own = typeof factor === "function" ? factor(other) : factor;
      if (other.shown) other.zoomBy(own, (mirrored ? 1 - shareX : shareX) * across, shareY * down);
    });
  }

  // Zoom to 1:1.
  zoomToPixels(view, x, y) {
    this.zoom(view, (other) => 1 / other.zoom, x, y);
  }

  toggleZoom(view, x, y) {
    if (view.zoom < 0.99) this.zoomToPixels(view, x, y);
    else this.fit(view);
  }

  // Fit the breast, and those of linked views.
  fit(view) {
    this.#fit((other) => this.linked || other === view);
  }

  // Fit breasts, at the scale and height at which all visible ones hang beside each other.
  #fit(chosen) {
    const rows = this.rows.map((row) => this.views.filter((view) => row.contains(view.cell) && view.shown));
    const visible = rows.flat();
    const ofView = new Map();
    const unit = units(
      visible.map((view) => view.breast),
      visible.map((view) => view.spacing),
    );
    const hung = (view) => ({
      box: view.breast,
      level: view.level,
      unit: unit[visible.indexOf(view)],
      cell: view.room,
      hangs: view.hangs,
    });
    const filled = rows.filter((row) => row.length);
    hang(filled.map((row) => row.map(hung))).forEach((placements, number) => {
      for (const [place, placement] of placements.entries()) ofView.set(filled[number][place], placement);
    });
    for (const view of visible.filter(chosen)) view.put(ofView.get(view));
  }

  // Turn or mirror a view, and say so on it.
  turn(view, wanted) {
    view.orientation = wanted;
    this.#fit((other) => other === view);
    this.say(this.#orientationText(wanted));
  }

  #orientationText({ turns, flipped }) {
    const { turned, mirrored } = this.texts;
    if (!flipped) return turned[turns];
    return turns ? `${turned[turns]}. ${mirrored}` : mirrored;
  }

  #fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen();
  }

  adjust(view, brighter, wider) {
    this.#together(view, (other) => adjust(other.look, brighter, wider));
  }

  activate(view) {
    this.active = view;
    for (const other of this.views) other.cell.classList.toggle("active", other === view);
    this.windowTools?.show(view);
  }

  measured(view) {
    this.say(this.texts.measured.replace("{length}", this.length(view, view.line)));
  }

  length(view, line) {
    const millimetres = view.millimetres(line);
    if (millimetres !== null) return this.texts.millimetres.replace("{number}", this.number.format(millimetres));
    const pixels = Math.hypot(line[1][0] - line[0][0], line[1][1] - line[0][1]);
    return this.texts.pixels.replace("{number}", String(Math.round(pixels)));
  }

  marked(view, [x, y]) {
    this.#settle();
    if (ofPrior(view.cell)) {
      this.say(this.texts.current);
      this.#tell("birads:mark-mode", { on: false });
      return;
    }
    this.#tell("birads:marked", { image: view.id, x: clamp(x / view.width, 0, 1), y: clamp(y / view.height, 0, 1) });
  }

  say(words) {
    this.root.querySelector("[data-status]").textContent = words;
  }

  redraw() {
    for (const view of this.views ?? []) view.draw();
  }

  // Layouts: "eight" shows four rows, "row" and "four" two, beside or below each other, "two" one, "one" the active view;
  // "auto" is "row" or "four", by the shape of the viewer.
  arrange(layout) {
    this.root.dataset.layout = layout;
    const row = this.rows.findIndex((each) => each.contains(this.active.cell));
    const shift = { eight: 2, two: 0, one: 0 }[layout] ?? 1; // of the row's number, to that of its group
    for (const each of this.allRows) {
      const index = this.rows.indexOf(each);
      each.classList.remove("later");
      each.hidden = index < 0 || index >> shift !== row >> shift;
    }
    for (const view of this.views) view.cell.hidden = layout === "one" && view !== this.active;
    this.aiMarks?.align(this.views);
    this.#fit(() => true);
    this.activate(this.active);
    this.#settle();
  }

  // Activate the next or previous view, and turn to its row.
  step(places) {
    const views = this.views.filter((view) => this.rows.includes(view.cell.parentElement));
    const at = views.indexOf(this.active);
    this.activate(views[(at + places + views.length) % views.length]);
    this.tools.choose("pan");
    if (!this.active.shown || this.root.dataset.layout === "one") this.arrange(this.root.dataset.layout);
    this.active.cell.focus({ preventScroll: true });
    this.#settle();
  }

  #together(view, act) {
    for (const other of this.linked ? this.views : [view]) {
      act(other, other.cell.dataset.hangs !== view.cell.dataset.hangs);
      other.draw();
    }
  }

  #commands() {
    const tool = (name) => () => {
      this.tools.choose(name);
      this.#settle();
    };
    const heat = (act) => () => (this.heat ? act(this.heat) : false);
    return {
      fit: () => {
        if (this.active.fitted) this.#together(this.active, (view) => view.fitWhole());
        else this.fit(this.active);
      },
      actual: () => this.zoomToPixels(this.active),
      closer: () => this.zoom(this.active, CLOSER),
      further: () => this.zoom(this.active, 1 / CLOSER),
      invert: () => this.#changeLook((look) => (look.inverted = !look.inverted)),
      preset: () => this.#changeLook((look) => Object.assign(look, { preset: look.preset + 1, shift: 0, stretch: 1 })),
      turn: () => this.turn(this.active, orientation.turned(this.active.orientation)),
      mirror: () => this.turn(this.active, orientation.mirrored(this.active.orientation)),
      fullScreen: () => this.#fullScreen(),
      window: tool("window"),
      magnify: tool("magnify"),
      measure: tool("measure"),
      aiMarks: () => (this.aiMarks ? this.aiMarks.toggle() : false),
      nextAiMark: () => (this.aiMarks ? this.aiMarks.next(this.#ofExam.map((view) => view.id)) : false),
      heat: heat((map) => map.toggle()),
      heatBefore: heat((map) => map.step(-1)),
      heatNext: heat((map) => map.step(1)),
      fainter: heat((map) => map.fade(-2)),
      stronger: heat((map) => map.fade(2)),
      layout: () => this.#nextLayout(),
      prior: () => this.#togglePrior(),
      priorReport: () => this.#openPriorReport(),
      previous: () => this.step(-1),
      next: () => this.step(1),
      link: () => this.#link(),
      leave: () => this.#leave(),
      reset: () => this.#reset(),
      help: () => this.root.querySelector("dialog").showModal(),
      arrow: (across, down, event) => this.#arrow(across, down, event.shiftKey),
      set: () => this.tools.set(),
    };
  }

  // Layouts of the rows that hang, the one with the most views first.
  get #layouts() {
    const narrow = this.root.clientWidth < NARROW;
    if (this.comparing) return LAYOUTS.slice(narrow ? 2 : 0);
    return LAYOUTS.slice(this.rows.length > 1 ? 1 : this.#ofExam.length > 1 ? 3 : 4);
  }

  // Views of the exam itself, without those of its prior.
  get #ofExam() {
    return this.views.filter((view) => !ofPrior(view.cell));
  }

  get comparing() {
    return this.rows.some((row) => "prior" in row.dataset);
  }

  get #firstLayout() {
    const [first] = this.#layouts;
    return first === "row" ? "auto" : first;
  }

  #nextLayout() {
    const layouts = this.#layouts;
    const { layout } = this.root.dataset;
    const beside = getComputedStyle(this.root.querySelector(".light-box")).flexDirection === "row";
    const present = layout === "auto" ? (beside ? "row" : "four") : layout;
    this.arrange(layouts[(layouts.indexOf(present) + 1) % layouts.length]);
  }

  // Hang the prior exam below the current one, or take it down; false if there is none.
  #togglePrior() {
    const own = this.allRows.filter((row) => !("prior" in row.dataset) && row.querySelector(".cell"));
    if (own.length === this.allRows.length) return false;
    this.rows = this.comparing ? own : this.allRows;
    if (!this.rows.includes(this.active.cell.parentElement)) [this.active] = this.views;
    this.say(this.comparing ? this.texts.prior : this.texts.alone);
    this.arrange(this.#firstLayout);
    return true;
  }

  // Show the report of the prior exam; false if there is no prior.
  #openPriorReport() {
    const dialog = document.querySelector("dialog.prior-report");
    dialog?.showModal();
    return dialog !== null;
  }

  #arrow(across, down, shift) {
    if (this.tools.moveBy(across, down, shift)) return true;
    if (shift) this.adjust(this.active, -down * WINDOW_STEP, across * WINDOW_STEP);
    else this.pan(this.active, -across * ARROW, -down * ARROW);
    return true;
  }

  // change: called with a view's look and its pyramid's description
  #changeLook(change) {
    this.#together(this.active, (view) => change(view.look, view.pyramid.about));
    this.#settle();
  }

  #link() {
    this.linked = !this.linked;
    this.say(this.linked ? this.texts.linked : this.texts.unlinked);
    this.#settle();
  }

  #leave() {
    const marking = this.tools.tool === "mark";
    this.tools.choose("pan");
    this.#settle();
    if (marking) this.#tell("birads:mark-mode", { on: false });
  }

  #reset() {
    this.linked = true;
    for (const view of this.views) {
      view.look = asOpened();
      view.line = null;
      view.orientation = view.opened;
    }
    this.#fit(() => true);
    this.heat?.reset(this.startsWithHeat);
    this.aiMarks?.reset(this.startsWithAiMarks);
    this.#leave();
  }

  // Update the pressed state of the buttons.
  #settle() {
    const on = {
      invert: this.active.look.inverted,
      link: this.linked,
      fullScreen: document.fullscreenElement === this.root,
      prior: this.comparing,
      window: this.tools.tool === "window",
      magnify: this.tools.tool === "magnify",
      measure: this.tools.tool === "measure",
    };
    for (const [command, pressed] of Object.entries(on)) {
      this.root.querySelector(`[data-command=${command}]`)?.setAttribute("aria-pressed", String(pressed));
    }
    this.root.dataset.tool = this.tools.tool;
  }

  #tell(name, detail) {
    this.room.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #hear() {
    this.room.addEventListener("birads:mark-mode", ({ detail }) => {
      if (detail.on !== (this.tools.tool === "mark")) this.tools.choose(detail.on ? "mark" : "pan");
      this.#settle();
    });
    this.room.addEventListener("birads:marks", ({ detail }) => {
      for (const view of this.views) view.marks = detail.marks.filter((mark) => mark.image === view.id);
      this.redraw();
    });
    this.room.addEventListener("birads:show", ({ detail }) => this.#show(detail.image, detail));
  }

  // Activate the view of an image and put a point of it in the middle.
  #show(image, { x, y }) {
    this.#turnTo(this.views.find((view) => view.id === image))?.centre(x, y);
  }

  // Activate a view and turn to its row.
  #turnTo(view) {
    if (!view) return view;
    this.activate(view);
    if (!view.shown || this.root.dataset.layout === "one") this.arrange(this.root.dataset.layout);
    return view;
  }

  // A mark that is in sight stays where it is, and so do the other views.
  #showAiMark(image, mark, number, count) {
    const view = this.#turnTo(this.views.find((each) => each.id === image));
    if (!view.hasInSight(mark.x, mark.y)) view.centre(mark.x, mark.y);
    const values = { view: view.cell.getAttribute("aria-label"), number, count, label: mark.label, place: mark.place };
    this.say(this.texts.aiMark.replace(/\{(\w+)\}/g, (_, name) => String(values[name])).trim());
  }

  // Load display images first, then tiles, visible views before the others.
  async #open() {
    await painted(this.views.filter((view) => view.shown).map((view) => view.display));
    const seen = this.views.filter((view) => view.shown);
    await Promise.all(seen.map((view) => view.pyramid.open()));
    await Promise.all(this.views.filter((view) => !seen.includes(view)).map((view) => view.pyramid.open()));
  }

  #drawn(view, context) {
    drawOver(view, context, this);
    view.cell.querySelector("[data-readout]").textContent = this.#readout(view);
    const plain = orientation.isSame(view.orientation, orientation.AS_STORED);
    view.cell.querySelector("[data-orientation]").textContent = plain ? "" : this.#orientationText(view.orientation);
    if (view === this.active) this.windowTools.show(view);
    const sharp = (each) => !each.shown || each.cell.getAttribute("aria-busy") === "false";
    if (!this.settled && this.views.every(sharp)) {
      this.settled = true;
      this.#tell("birads:settled");
    }
  }

  // Zoom, WL/WW and pixel spacing, as far as known.
  #readout(view) {
    const { about, failed } = view.pyramid;
    if (!about && !failed) return ""; // no partial read-out, which would make the layout jump
    const zoom = this.texts.zoom.replace("{number}", String(Math.round(100 * view.zoom)));
    if (failed) return [zoom, this.texts.reduced].join("\n");
    const named = namedWindow(view.look, about);
    const whole = (number) => String(Math.round(number));
    const window =
      named && this.texts.window.replace("{centre}", whole(named.centre)).replace("{width}", whole(named.width));
    return [zoom, presetOf(view.look, about).name, window, about.spacing ? "" : this.texts.unscaled]
      .filter(Boolean)
      .join("\n");
  }
}

const ofPrior = (cell) => "prior" in cell.parentElement.dataset;

for (const root of document.querySelectorAll("[data-viewer]")) new Viewer(root);
