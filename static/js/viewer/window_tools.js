// Fields of the active view's window: its presets, and level and width in the file's own values.

import { namedWindow, setWindow } from "./window.js";

// Rounded to whole values, or to tenths in files with few of them.
const rounded = (value) => (Math.abs(value) < 100 ? Math.round(value * 10) / 10 : Math.round(value));

export class WindowTools {
  #view = null;
  #listed = null;

  // change: applies a function of a look and its image's description to the linked views
  constructor(root, change) {
    const fields = root.querySelector("[data-window-tools]");
    this.presets = fields.querySelector("[data-presets]");
    this.centre = fields.querySelector("[data-centre]");
    this.width = fields.querySelector("[data-width]");
    this.presets.addEventListener("change", () => {
      const preset = this.presets.selectedIndex;
      change((look) => Object.assign(look, { preset, shift: 0, stretch: 1 }));
    });
    const set = () => {
      const [centre, width] = [this.centre.valueAsNumber, this.width.valueAsNumber];
      if (!Number.isFinite(centre) || !(width > 0)) return;
      change((look, about) => about?.ends && setWindow(look, about, centre, width));
    };
    for (const field of [this.centre, this.width]) field.addEventListener("change", set);
    fields.addEventListener("keydown", (event) => {
      if (!["Enter", "Escape"].includes(event.key)) return;
      this.#view?.cell.focus({ preventScroll: true }); // what was typed is set as the field loses the focus
      event.preventDefault();
    });
  }

  // Show the window of a view, unless it is being typed.
  show(view) {
    this.#view = view;
    const { about } = view.pyramid;
    if (!about) return;
    if (this.#listed !== about) {
      this.#listed = about;
      this.presets.replaceChildren(...about.presets.map(({ name }) => new Option(name)));
      this.presets.disabled = about.presets.length < 2;
    }
    this.presets.selectedIndex = view.look.preset % about.presets.length;
    const named = namedWindow(view.look, about);
    for (const [field, value] of [
      [this.centre, named?.centre],
      [this.width, named?.width],
    ]) {
      field.disabled = !named;
      if (field !== document.activeElement) field.value = named ? String(rounded(value)) : "";
    }
  }
}
