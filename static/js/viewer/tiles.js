// Tiles of one image: loaded when visible, cached, painted through a colour table.

const KEPT = 128; // tiles of all images: 64 MB of values and 128 MB of colours

// Least recently used cache of tiles by address.
class Cache {
  #tiles = new Map();

  get(address) {
    const tile = this.#tiles.get(address);
    if (tile) {
      this.#tiles.delete(address);
      this.#tiles.set(address, tile);
    }
    return tile;
  }

  add(address, tile) {
    this.#tiles.set(address, tile);
    if (this.#tiles.size > KEPT) this.#tiles.delete(this.#tiles.keys().next().value);
  }
}

const cache = new Cache();

export class Pyramid {
  about = null; // from the server: width, height, side, levels, spacing, ends, presets
  failed = false;
  #address;
  #changed;
  #asked = new Map();

  // changed: callback, called when tiles have arrived
  constructor(address, changed) {
    this.#address = address;
    this.#changed = changed;
  }

  async open() {
    try {
      this.about = await (await this.#fetch("")).json();
    } catch {
      this.failed = true; // the display image stays
    }
    this.#changed();
  }

  // Coarsest level with at least one pixel per display pixel; scale: display pixels per image pixel.
  levelFor(scale) {
    const level = Math.floor(Math.log2(1 / scale) + 0.01);
    return Math.min(this.about.levels - 1, Math.max(0, level));
  }

  // Tiles of a level that intersect a rectangle, with their bounds; all in image pixels.
  places(level, { left, top, right, bottom }) {
    const { width, height, side } = this.about;
    const step = side * 2 ** level;
    const found = [];
    if (left >= width || top >= height) return found;
    for (let row = Math.max(0, Math.floor(top / step)); row * step < Math.min(bottom, height); row += 1) {
      for (let column = Math.max(0, Math.floor(left / step)); column * step < Math.min(right, width); column += 1) {
        found.push({
          address: `${this.#address}/${level}/${row}/${column}`,
          columns: Math.min(side, Math.ceil(width / 2 ** level) - column * side),
          left: column * step,
          top: row * step,
          right: Math.min(width, (column + 1) * step),
          bottom: Math.min(height, (row + 1) * step),
        });
      }
    }
    return found;
  }

  // Canvas of a tile; null if it is not loaded.
  painted(place, colours) {
    const tile = cache.get(place.address);
    return tile ? paint(tile, colours) : null;
  }

  // Load these tiles and cancel the others.
  want(places) {
    const wanted = new Set(places.map((place) => place.address));
    for (const [address, asked] of this.#asked) {
      if (!wanted.has(address)) asked.abort();
    }
    for (const place of places) {
      if (!this.#asked.has(place.address)) this.#load(place);
    }
  }

  async #load({ address, columns }) {
    const asked = new AbortController();
    this.#asked.set(address, asked);
    try {
      const answer = await this.#fetch(address.slice(this.#address.length), asked.signal);
      const values = new Uint16Array(await answer.arrayBuffer());
      cache.add(address, { values, columns, canvas: null, colours: null });
    } catch {
      if (!asked.signal.aborted) this.failed = true;
    } finally {
      this.#asked.delete(address);
    }
    this.#changed();
  }

  async #fetch(rest, signal) {
    const answer = await fetch(this.#address + rest, { signal, redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer;
  }
}

function paint(tile, colours) {
  if (tile.colours === colours) return tile.canvas;
  const { values, columns } = tile;
  tile.canvas ??= new OffscreenCanvas(columns, values.length / columns);
  const context = tile.canvas.getContext("2d");
  const picture = context.createImageData(tile.canvas.width, tile.canvas.height);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let index = 0; index < values.length; index += 1) pixels[index] = colours[values[index]];
  context.putImageData(picture, 0, 0);
  tile.colours = colours;
  return tile.canvas;
}
