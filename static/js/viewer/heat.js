// The heat map over all views: off until it is asked for, for any category, more or less opaque.

export class Heat {
  #root;
  #changed;

  // The controls work by styles alone where there are no scripts; here they tell what the views draw.
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

  // The category so many places further; asking for another one shows it.
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

  // What lies over an image now: {image, opacity}; null where there is nothing, or it is still on its way.
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
    this.output.textContent = `${this.opacity.value} %`;
    // For the pictures themselves, which are seen until a view is drawn and when the page is printed.
    for (const map of this.#root.querySelectorAll(".heat")) map.style.opacity = this.opacity.value / 100;
    this.#changed();
  }
}
