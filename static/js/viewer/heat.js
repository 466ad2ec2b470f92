// Heat map over all views: on or off, for any category, with adjustable opacity.

export class Heat {
  #root;
  #changed;

  // Without scripts the controls work through CSS alone.
  constructor(root, changed) {
    this.#root = root;
    this.#changed = changed;
    this.on = root.querySelector(".heat-on");
    this.codes = [...root.querySelectorAll(".heat-code")];
    this.opacity = root.querySelector(".opacity");
    this.output = root.querySelector(".opacity-shown");
    for (const control of [this.on, this.opacity, ...this.codes]) {
      control.addEventListener("input", () => this.apply());
    }
    this.apply();
  }

  toggle() {
    this.on.checked = !this.on.checked;
    this.apply();
  }

  // Move on by a number of categories and show the map.
  step(places) {
    const chosen = this.codes.findIndex((code) => code.checked);
    this.codes[(chosen + places + this.codes.length) % this.codes.length].checked = true;
    this.on.checked = true;
    this.apply();
  }

  fade(steps) {
    if (steps > 0) this.opacity.stepUp(steps);
    else this.opacity.stepDown(-steps);
    this.apply();
  }

  reset(on) {
    this.on.checked = on;
    this.apply();
  }

  // Overlay of a view, {image, opacity}; null if the map is off or still loading.
  over(view) {
    const code = this.codes.find((each) => each.checked)?.value;
    const image = this.on.checked && view.cell.querySelector(`.heat[data-code="${code}"]`);
    if (!image) return null;
    if (image.loading !== "eager") {
      image.addEventListener("load", () => view.draw());
      image.loading = "eager";
    }
    return image.complete && image.naturalWidth ? { image, opacity: this.opacity.value / 100 } : null;
  }

  apply() {
    this.output.textContent = this.output.dataset.format.replace("{number}", this.opacity.value);
    // The <img> elements are visible until a view is drawn, and in print.
    for (const map of this.#root.querySelectorAll(".heat")) map.style.opacity = this.opacity.value / 100;
    this.#changed();
  }
}
