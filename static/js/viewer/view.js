// One image in its cell: placement and drawing. Lengths are page pixels unless noted.

import * as geometry from "./geometry.js";
import { Pyramid } from "./tiles.js";
import { asOpened, colours, isAsOpened } from "./window.js";

const MOST = 16; // largest zoom, in display pixels per image pixel
const LEAST = 0.5; // smallest zoom, relative to the fitted size
const LENS = 120;
const LENS_ENLARGES = 3;

export class View {
  look = asOpened();
  marks = [];
  line = null; // measured distance: [[x, y], [x, y]] in image pixels
  cursor = null; // keyboard crosshair
  lens = null;
  #fitted = true;
  #due = false;
  #table = null;
  #tableOf = "";

  // cell: figure element; changed: called after each drawing; overlay: returns {image, opacity} or null
  constructor(cell, { changed, overlay }) {
    this.cell = cell;
    this.id = cell.dataset.image;
    this.width = Number(cell.dataset.width);
    this.height = Number(cell.dataset.height);
    this.display = cell.querySelector(".display");
    this.canvas = cell.querySelector("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.changed = changed;
    this.overlay = overlay;
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

  fit() {
    this.#fitted = true;
    if (!this.room.width || !this.room.height) return;
    this.least = geometry.fitScale(this, this.room);
    Object.assign(this, geometry.fit(this, this.room, this.hangs));
    this.draw();
  }

  get room() {
    return { width: this.cell.clientWidth, height: this.cell.clientHeight };
  }

  // Middle of the visible part of the image: keys zoom around it, and tools start there.
  get middle() {
    return geometry.visibleMiddle(this, this, this.room);
  }

  // Zoom around a point of the cell.
  zoomBy(factor, x, y) {
    const scale = geometry.clamp(this.scale * factor, LEAST * this.least, MOST / this.density);
    this.#move(geometry.zoomAround(this, scale, x, y));
  }

  panBy(across, down) {
    this.#move({ scale: this.scale, x: this.x + across, y: this.y + down });
  }

  // Put a point, given as fractions of the image, in the middle of the cell.
  centre(x, y) {
    this.#move(geometry.centreOn(this, this, this.room, x, y));
  }

  toImage(x, y) {
    return geometry.toImage(this, x, y);
  }

  toCell(point) {
    return geometry.toCell(this, point);
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
    this.#fitted = false;
    Object.assign(this, geometry.keepInSight(placement, this, this.room));
    this.draw();
  }

  #resize() {
    const { width: across, height: down } = this.room;
    if (!across || !down) return;
    this.density = window.devicePixelRatio || 1;
    const middle = this.toImage(this.canvas.clientWidth / 2, this.canvas.clientHeight / 2);
    this.canvas.width = Math.round(across * this.density);
    this.canvas.height = Math.round(down * this.density);
    this.least = geometry.fitScale(this, this.room);
    if (this.#fitted || !this.scale) this.fit();
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
    this.cell.setAttribute("aria-busy", String(!whole.sharp));
    this.pyramid.want([...whole.missing, ...magnified]);
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    this.changed(this, context);
  }

  // Draw the image at an origin and zoom, clipped to a rectangle, all in display pixels.
  // Returns {something: drawn at all, sharp: at full resolution, missing: tiles to load}.
  #picture(origin, zoom, [left, top, right, bottom]) {
    const placed = (x, y, toX, toY) => {
      const [fromX, fromY] = [Math.round(origin[0] + x * zoom), Math.round(origin[1] + y * zoom)];
      return [fromX, fromY, Math.round(origin[0] + toX * zoom) - fromX, Math.round(origin[1] + toY * zoom) - fromY];
    };
    const all = placed(0, 0, this.width, this.height);
    const seen = {
      left: (left - origin[0]) / zoom,
      right: (right - origin[0]) / zoom,
      top: (top - origin[1]) / zoom,
      bottom: (bottom - origin[1]) / zoom,
    };
    const done = this.#tiles(seen, zoom, placed, all);
    const over = this.overlay(this);
    if (over) {
      this.context.globalAlpha = over.opacity;
      this.context.drawImage(over.image, ...all);
      this.context.globalAlpha = 1;
    }
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
    const [imageX, imageY] = this.toImage(this.lens.x, this.lens.y);
    context.save();
    context.beginPath();
    context.arc(x, y, reach, 0, 2 * Math.PI);
    context.clip();
    context.fillRect(x - reach, y - reach, 2 * reach, 2 * reach);
    const origin = [Math.round(x - imageX * zoom), Math.round(y - imageY * zoom)];
    const { missing } = this.#picture(origin, zoom, [x - reach, y - reach, x + reach, y + reach]);
    context.restore();
    context.lineWidth = 2 * density;
    context.strokeStyle = "#86c7d8";
    context.stroke();
    return missing;
  }
}
