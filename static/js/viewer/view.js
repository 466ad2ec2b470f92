// One image in its cell: placement and drawing. Lengths are page pixels unless noted; "shown" pixels are those of the
// image as it is turned.

import * as geometry from "./geometry.js";
import * as orientation from "./orientation.js";
import { Pyramid } from "./tiles.js";
import { tissue } from "./tissue.js";
import { asOpened, colours, isAsOpened } from "./window.js";

const MOST = 16; // largest zoom, in display pixels per image pixel
const LEAST = 0.5; // smallest zoom, relative to the whole image
const LENS = 120;
const LENS_ENLARGES = 3;

export class View {
  look = asOpened();
  marks = [];
  line = null; // measured distance: [[x, y], [x, y]] in image pixels
  cursor = null; // keyboard crosshair
  lens = null;
  fitted = true;
  opened = orientation.AS_STORED; // orientation in which the view opens, and to which it is reset
  orientation = this.opened;
  #followed = null; // placement that linked views lead to, beyond what keeps the breast in sight
  #points = null; // of the breast, in stored pixels
  #due = false;
  #table = null;
  #tableOf = "";

  // cell: figure element; changed: called after each drawing; overlay: returns {image, opacity} or null;
  // refit: called when a fitted view's cell has another size
  constructor(cell, { changed, overlay, refit }) {
    this.cell = cell;
    this.id = cell.dataset.image;
    this.width = Number(cell.dataset.width);
    this.height = Number(cell.dataset.height);
    this.placement = cell.dataset.placement ? JSON.parse(cell.dataset.placement) : null;
    if (cell.dataset.opened) this.opened = this.orientation = JSON.parse(cell.dataset.opened);
    this.display = cell.querySelector(".display");
    this.picture = cell.querySelector(".picture");
    this.canvas = cell.querySelector("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.changed = changed;
    this.overlay = overlay;
    this.refit = refit;
    this.pyramid = new Pyramid(cell.dataset.tiles, () => this.draw());
    this.display.addEventListener("load", () => this.draw());
    new ResizeObserver(() => this.#resize()).observe(cell);
  }

  get shown() {
    return this.cell.clientWidth > 0 && this.cell.checkVisibility();
  }

  // Display pixels per image pixel.
  get zoom() {
    return this.scale * this.density;
  }

  // Horizontal alignment in the cell: 0 left, 0.5 middle, 1 right.
  get hangs() {
    if (this.cell.closest("[data-layout=one]")) return 0.5;
    return { left: 0, right: 1 }[this.cell.dataset.hangs] ?? 0.5;
  }

  // Size as shown.
  get size() {
    return orientation.shownSize(this.orientation, this);
  }

  // Box of the breast in stored pixels; the whole image if it is unknown.
  get #box() {
    const [left, top, width, height] = this.placement?.box ?? [0, 0, 1, 1];
    return {
      left: left * this.width,
      top: top * this.height,
      width: width * this.width,
      height: height * this.height,
    };
  }

  // Box of the breast in shown pixels.
  get breast() {
    return orientation.shownBox(this.orientation, this, this.#box);
  }

  // Points of the breast in shown pixels; none until its display image has come.
  get #shape() {
    const arrived = this.display.complete && this.display.naturalWidth > 0;
    if (!this.#points && arrived) this.#points = tissue(this.display, this, this.#box);
    return (this.#points ?? []).map((point) => orientation.toShown(this.orientation, this, point));
  }

  // Height of the nipple in shown pixels; that of the breast's middle if it is unknown.
  get level() {
    const { nipple } = this.placement ?? {};
    const upright = this.orientation.turns % 2 === 0;
    if (typeof nipple === "number" && upright)
      return orientation.toShown(this.orientation, this, [0, nipple * this.height])[1];
    const { top, height } = this.breast;
    return top + height / 2;
  }

  // Side of the cell that the breast leaves free, away from its chest wall; null if that is unknown, above or below.
  get free() {
    const { turns, flipped } = this.orientation;
    if (!this.placement || turns % 2) return null;
    const swapped = flipped !== (turns === 2);
    return (this.placement.chest_wall === "left") !== swapped ? "right" : "left";
  }

  // (row, column) distance of pixels in mm, known before any tile; null if unknown.
  get spacing() {
    return this.placement?.spacing ?? null;
  }

  // Place a fitted image; it stays fitted when the cell changes.
  put(placement) {
    this.fitted = true;
    this.#place(placement);
  }

  // Fit the whole image to the cell.
  fitWhole() {
    this.fitted = false;
    if (this.room.width && this.room.height) this.#place(geometry.fit(this.size, this.room, this.hangs));
  }

  get room() {
    return { width: this.cell.clientWidth, height: this.cell.clientHeight };
  }

  // Middle of the visible part of the image: keys zoom around it, and tools start there.
  get middle() {
    return geometry.visibleMiddle(this, this.size, this.room);
  }

  // Zoom around a point of the cell.
  zoomBy(factor, x, y) {
    const least = LEAST * geometry.fitScale(this.size, this.room);
    const scale = geometry.clamp(this.scale * factor, least, MOST / this.density);
    this.#move(geometry.zoomAround(this, scale, x, y));
  }

  // Move by hand; returns the distance that the breast's sight leaves, [across, down].
  panBy(across, down) {
    const [x, y] = [this.x, this.y];
    this.#move({ scale: this.scale, x: x + across, y: y + down });
    return [this.x - x, this.y - y];
  }

  // Move along with a linked view: at the limit the view waits until the other one comes back.
  follow(across, down) {
    const from = this.#followed ?? this;
    const wanted = { scale: this.scale, x: from.x + across, y: from.y + down };
    this.#move(wanted);
    this.#followed = wanted;
  }

  // Put a point, given as fractions of the stored image, in the middle of the cell.
  centre(x, y) {
    const [shownX, shownY] = orientation.toShown(this.orientation, this, [x * this.width, y * this.height]);
    const { width, height } = this.size;
    this.#move(geometry.centreOn(this, this.size, this.room, shownX / width, shownY / height));
  }

  // True if a point, given as fractions of the stored image, lies in the cell, not at its edge.
  hasInSight(x, y) {
    const [across, down] = this.toCell([x * this.width, y * this.height]);
    const { width, height } = this.room;
    return Math.min(across, width - across) > 0.05 * width && Math.min(down, height - down) > 0.05 * height;
  }

  // Convert a point of the cell to pixels of the stored image.
  toImage(x, y) {
    return orientation.toStored(this.orientation, this, geometry.toImage(this, x, y));
  }

  // Convert a point in pixels of the stored image to the cell.
  toCell(point) {
    return geometry.toCell(this, orientation.toShown(this.orientation, this, point));
  }

  // Distance in mm between two points in image pixels; null if the pixel spacing is unknown.
  millimetres(line) {
    return geometry.millimetres(line, this.pyramid.about?.spacing);
  }

  draw() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      if (this.shown && this.scale) this.#draw();
    });
  }

  #move(placement) {
    this.fitted = false;
    const kept = geometry.keepInSight(placement, this.breast, this.room);
    this.#place(geometry.withPoint(kept, this.#shape, this.room));
  }

  #place({ scale, x, y }) {
    this.#followed = null;
    Object.assign(this, { scale, x, y });
    this.#placePicture();
    this.draw();
  }

  // Move the display image and the heat maps, which are shown until tiles are drawn, to the same place.
  #placePicture() {
    const base = geometry.fit(this, this.room, this.hangs);
    const ratio = this.scale / base.scale;
    const linear = orientation.matrix(this.orientation).map((value) => value * ratio);
    const [x, y] = this.toCell([-base.x / base.scale, -base.y / base.scale]);
    this.picture.style.transform = `matrix(${[...linear, x, y].join(",")})`;
  }

  #resize() {
    const { width: across, height: down } = this.room;
    if (!across || !down) return;
    this.density = window.devicePixelRatio || 1;
    const middle = this.scale ? this.toImage(this.canvas.clientWidth / 2, this.canvas.clientHeight / 2) : null;
    this.canvas.width = Math.round(across * this.density);
    this.canvas.height = Math.round(down * this.density);
    if (this.fitted || !middle) this.refit();
    else this.centre(middle[0] / this.width, middle[1] / this.height);
  }

  // Colour table of the current window, cached.
  get #colours() {
    const key = JSON.stringify(this.look);
    if (key !== this.#tableOf) [this.#table, this.#tableOf] = [colours(this.look, this.pyramid.about), key];
    return this.#table;
  }

  #draw() {
    const { context, canvas } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    // Whole display pixels, so that 1:1 shows unresampled values.
    const origin = [Math.round(this.x * this.density), Math.round(this.y * this.density)];
    const whole = this.#picture(origin, this.zoom, [0, 0, canvas.width, canvas.height]);
    const magnified = this.lens ? this.#magnified() : [];
    this.cell.classList.toggle("drawn", whole.something);
    if (this.free) this.cell.dataset.free = this.free; // what is written moves there
    this.cell.setAttribute("aria-busy", String(!whole.sharp));
    this.pyramid.want([...whole.missing, ...magnified]);
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    this.changed(this, context);
  }

  // Draw the image at an origin and zoom, clipped to a rectangle, all in display pixels.
  // Returns {something: drawn at all, sharp: at full resolution, missing: tiles to load}.
  #picture(origin, zoom, [left, top, right, bottom]) {
    const placed = (x, y, toX, toY) => {
      const [fromX, fromY] = [Math.round(x * zoom), Math.round(y * zoom)];
      return [fromX, fromY, Math.round(toX * zoom) - fromX, Math.round(toY * zoom) - fromY];
    };
    const all = placed(0, 0, this.width, this.height);
    const enlarged = { width: all[2], height: all[3] };
    const [acrossX, acrossY] = orientation.toShown(this.orientation, enlarged, [0, 0]);
    const corner = (x, y) =>
      orientation.toStored(this.orientation, enlarged, [x - origin[0], y - origin[1]]).map((length) => length / zoom);
    const [one, other] = [corner(left, top), corner(right, bottom)];
    const seen = {
      left: Math.min(one[0], other[0]),
      right: Math.max(one[0], other[0]),
      top: Math.min(one[1], other[1]),
      bottom: Math.max(one[1], other[1]),
    };
    this.context.setTransform(...orientation.matrix(this.orientation), origin[0] + acrossX, origin[1] + acrossY);
    const done = this.#tiles(seen, zoom, placed, all);
    const over = this.overlay(this);
    if (over) {
      this.context.globalAlpha = over.opacity;
      this.context.drawImage(over.image, ...all);
      this.context.globalAlpha = 1;
    }
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    return done;
  }

  #tiles(seen, zoom, placed, all) {
    const { context, pyramid, display } = this;
    context.imageSmoothingEnabled = zoom <= 2; // above, show single pixels
    const arrived = display.complete && display.naturalWidth > 0;
    if (!pyramid.about || pyramid.failed) {
      if (arrived) context.drawImage(display, ...all);
      return { something: arrived, sharp: pyramid.failed, missing: [] };
    }
    const level = pyramid.levelFor(zoom);
    const places = pyramid.places(level, seen);
    const missing = places.filter((place) => !pyramid.painted(place, this.#colours));
    if (missing.length && isAsOpened(this.look) && arrived) context.drawImage(display, ...all);
    else if (missing.length) missing.unshift(...this.#coarse(level, seen, placed));
    for (const place of places) this.#put(place, placed);
    return { something: true, sharp: !missing.length, missing };
  }

  // Draw loaded tiles of coarser levels in the meantime; return coarsest tiles that are missing.
  #coarse(level, seen, placed) {
    const last = this.pyramid.about.levels - 1;
    for (let above = last; above > level; above -= 1) {
      for (const place of this.pyramid.places(above, seen)) this.#put(place, placed);
    }
    return this.pyramid.places(last, seen).filter((place) => !this.pyramid.painted(place, this.#colours));
  }

  #put(place, placed) {
    const tile = this.pyramid.painted(place, this.#colours);
    if (tile) this.context.drawImage(tile, ...placed(place.left, place.top, place.right, place.bottom));
  }

  // Draw the magnifier.
  #magnified() {
    const { context, density } = this;
    const [x, y] = [this.lens.x * density, this.lens.y * density];
    const reach = LENS * density;
    const zoom = Math.min(MOST, this.zoom * LENS_ENLARGES);
    const [shownX, shownY] = geometry.toImage(this, this.lens.x, this.lens.y);
    context.save();
    context.beginPath();
    context.arc(x, y, reach, 0, 2 * Math.PI);
    context.clip();
    context.fillRect(x - reach, y - reach, 2 * reach, 2 * reach);
    const origin = [Math.round(x - shownX * zoom), Math.round(y - shownY * zoom)];
    const { missing } = this.#picture(origin, zoom, [x - reach, y - reach, x + reach, y + reach]);
    context.restore();
    context.lineWidth = 2 * density;
    context.strokeStyle = "#86c7d8";
    context.beginPath();
    context.arc(x, y, reach, 0, 2 * Math.PI);
    context.stroke();
    return missing;
  }
}
