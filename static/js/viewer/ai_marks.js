// Marks of the model over all views, as dashed rings: on or off, and one after the other.

import { stroked, text } from "./marks.js";

const COLOUR = "#ff8ae2"; // as in css/ai_marks.css
const DASHES = [5, 4];
const LEAST = 7; // page pixels of a ring's radius

export class AiMarks {
  current = null; // of the exam's marks, the one shown last
  #ofImage = new Map();
  #actions;

  // Without scripts the switch works through CSS alone.
  // actions: {changed() after a change, show(image, mark, number, count) on request; number from 1}
  constructor(root, actions) {
    this.on = root.querySelector(".ai-marks-on");
    this.#actions = actions;
    for (const cell of root.querySelectorAll("[data-ai-marks]")) {
      this.#ofImage.set(cell.dataset.image, JSON.parse(cell.dataset.aiMarks));
    }
    this.on.addEventListener("input", () => this.apply());
    const room = root.closest("[data-reading-room]") ?? root;
    for (const button of room.querySelectorAll("[data-ai-mark-image]")) {
      const { aiMarkImage, aiMarkNumber } = button.dataset;
      button.addEventListener("click", () => this.#show(aiMarkImage, Number(aiMarkNumber)));
    }
  }

  toggle() {
    this.on.checked = !this.on.checked;
    this.apply();
  }

  reset(on) {
    this.on.checked = on;
    this.apply();
  }

  // Show the mark after the current one, of these images in their order; false if they have none.
  next(images) {
    const all = images.flatMap((image) =>
      (this.#ofImage.get(image) ?? []).map((mark, number) => [image, mark, number]),
    );
    if (!all.length) return false;
    const at = all.findIndex(([, mark]) => mark === this.current);
    const [image, , number] = all[(at + 1) % all.length];
    this.#show(image, number);
    return true;
  }

  // Align the rings that are printed with the display images, which have another place in each layout.
  align(views) {
    for (const view of views) {
      const rings = view.cell.querySelector(".ai-marks");
      rings?.setAttribute("preserveAspectRatio", `${["xMin", "xMid", "xMax"][2 * view.hangs]}YMid`);
    }
  }

  draw(view, context) {
    if (!this.on.checked) return;
    for (const mark of this.#ofImage.get(view.id) ?? []) this.#draw(view, context, mark);
  }

  #draw(view, context, mark) {
    const [x, y] = view.toCell([mark.x * view.width, mark.y * view.height]);
    const sizes = [mark.width * view.width, mark.height * view.height];
    if (view.orientation.turns % 2) sizes.reverse();
    const [across, down] = sizes.map((size) => Math.max(LEAST, (size * view.scale) / 2));
    const line = mark === this.current ? 3 : 1.5;
    stroked(context, COLOUR, line, () => context.ellipse(x, y, across, down, 0, 0, 2 * Math.PI), DASHES);
    text(context, mark.label, x + 0.7 * across + 4, y - down - 4, COLOUR);
  }

  #show(image, number) {
    const marks = this.#ofImage.get(image);
    this.current = marks[number];
    this.on.checked = true;
    this.#actions.show(image, this.current, number + 1, marks.length);
    this.apply();
  }

  apply() {
    if (!this.on.checked) this.current = null;
    this.#actions.changed();
  }
}
