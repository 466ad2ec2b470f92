// Pointer tools of a view: pan, window, measure, magnify, mark; pinch to zoom.
//
// The right button changes the window with every tool.

const STEP = 10; // pixels per arrow key
const CLICK = 4; // a shorter movement is a click
const WHEEL = 0.0015;
const BRIGHTEN = 0.003; // window widths per pixel of a drag

export class Tools {
  tool = "pan";
  #room;
  #pointers = new Map();
  #drag = null;

  // room: the viewer, which applies actions to all linked views
  constructor(room) {
    this.#room = room;
    for (const view of room.views) this.#listen(view);
  }

  choose(tool) {
    this.tool = this.tool === tool ? "pan" : tool;
    for (const view of this.#room.views) {
      view.lens = view.cursor = null;
      view.measuring = false;
      view.draw();
    }
    const view = this.#room.active;
    if (this.tool === "magnify") this.#point(view, ...view.middle);
  }

  // Move the tool by keys; false if no tool can be moved.
  moveBy(across, down, fine) {
    if (!["magnify", "measure", "mark"].includes(this.tool)) return false;
    const view = this.#room.active;
    const [x, y] = place(view.lens ?? view.cursor) ?? view.middle;
    const step = fine ? 1 : STEP;
    const [toX, toY] = [
      Math.min(view.cell.clientWidth, Math.max(0, x + across * step)),
      Math.min(view.cell.clientHeight, Math.max(0, y + down * step)),
    ];
    if (this.tool !== "magnify") view.cursor = { x: toX, y: toY };
    this.#point(view, toX, toY);
    view.draw();
    return true;
  }

  // Set a point at the keyboard crosshair; false if the tool sets none.
  set() {
    if (!["measure", "mark"].includes(this.tool)) return false;
    const view = this.#room.active;
    const [x, y] = place(view.cursor) ?? view.middle;
    view.cursor = { x, y };
    this.#press(view, x, y);
    view.draw();
    return true;
  }

  #listen(view) {
    const { cell } = view;
    cell.addEventListener("pointerdown", (event) => this.#down(view, event));
    cell.addEventListener("pointermove", (event) => this.#move(view, event));
    for (const end of ["pointerup", "pointercancel"]) cell.addEventListener(end, (event) => this.#up(view, event));
    cell.addEventListener("pointerleave", () => this.#leave(view));
    cell.addEventListener("contextmenu", (event) => event.preventDefault());
    cell.addEventListener("dblclick", (event) => this.#room.toggleZoom(view, ...at(view, event)));
    cell.addEventListener("wheel", (event) => this.#wheel(view, event), { passive: false });
  }

  #down(view, event) {
    if (event.target.closest("a, button") || event.button === 1) return;
    this.#room.activate(view);
    view.cell.focus({ preventScroll: true });
    event.preventDefault(); // neither select text nor drag the image
    view.cell.setPointerCapture(event.pointerId);
    const [x, y] = at(view, event);
    this.#pointers.set(event.pointerId, [x, y]);
    const does = event.button === 2 ? "window" : this.tool;
    this.#drag = { does, x, y, pressed: false };
    view.cursor = null;
    if (this.#pointers.size === 1 && (does === "measure" || does === "mark"))
      this.#drag.pressed = this.#press(view, x, y);
  }

  #move(view, event) {
    const [x, y] = at(view, event);
    const before = this.#pointers.get(event.pointerId);
    if (before) this.#pointers.set(event.pointerId, [x, y]);
    if (this.#pointers.size === 2 && before) return this.#pinch(view, event.pointerId, before, [x, y]);
    if (before && this.#drag?.does === "pan") this.#room.pan(view, x - before[0], y - before[1]);
    else if (before && this.#drag?.does === "window") {
      this.#room.adjust(view, (before[1] - y) * BRIGHTEN, (x - before[0]) * BRIGHTEN);
    } else this.#point(view, x, y);
    return undefined;
  }

  #up(view, event) {
    const [x, y] = at(view, event);
    const drag = this.#drag;
    this.#pointers.delete(event.pointerId);
    this.#drag = null;
    const moved = drag && Math.hypot(x - drag.x, y - drag.y) > CLICK;
    if (drag?.does === "measure" && drag.pressed && moved) this.#press(view, x, y); // measured in one drag
  }

  #leave(view) {
    if (!view.lens || this.#pointers.size) return;
    view.lens = null;
    view.draw();
  }

  #wheel(view, event) {
    event.preventDefault();
    this.#room.zoom(view, Math.exp(-event.deltaY * WHEEL * (event.ctrlKey ? 5 : 1)), ...at(view, event));
  }

  // Pinch: keep the image under the two fingers.
  #pinch(view, moving, before, after) {
    const [, other] = [...this.#pointers].find(([id]) => id !== moving);
    const factor =
      Math.hypot(after[0] - other[0], after[1] - other[1]) / Math.hypot(before[0] - other[0], before[1] - other[1]);
    this.#room.pan(view, (after[0] - before[0]) / 2, (after[1] - before[1]) / 2);
    if (Number.isFinite(factor)) this.#room.zoom(view, factor, (after[0] + other[0]) / 2, (after[1] + other[1]) / 2);
  }

  // Follow the pointer or the crosshair.
  #point(view, x, y) {
    if (this.tool === "magnify") {
      for (const other of this.#room.views) {
        if (other !== view && other.lens) [other.lens] = [null, other.draw()];
      }
      view.lens = { x, y };
      view.draw();
    } else if (this.tool === "measure" && view.measuring) {
      view.line = [view.line[0], view.toImage(x, y)];
      view.draw();
    }
  }

  // Set a mark or an end of a distance; true if a distance begins.
  #press(view, x, y) {
    const point = view.toImage(x, y);
    if (this.tool === "mark") {
      this.choose("pan");
      this.#room.marked(view, point);
      return false;
    }
    view.measuring = !view.measuring;
    view.line = view.measuring ? [point, point] : [view.line[0], point];
    if (!view.measuring) this.#room.measured(view);
    view.draw();
    return view.measuring;
  }
}

function at(view, event) {
  const box = view.cell.getBoundingClientRect();
  return [event.clientX - box.left - view.cell.clientLeft, event.clientY - box.top - view.cell.clientTop];
}

const place = (point) => (point ? [point.x, point.y] : null);
