// Levels and tiles of an image (static/js/viewer/tiles.js).
import assert from "node:assert/strict";
import { test } from "node:test";

import { Pyramid } from "../../static/js/viewer/tiles.js";

function pyramid() {
  const made = new Pyramid("/tiles", () => {});
  made.about = { width: 3000, height: 2100, side: 512, levels: 4 };
  return made;
}

test("the level has at least one pixel for each display pixel", () => {
  const levels = [4, 1, 0.6, 0.5, 0.3, 0.25, 0.1, 0.001].map((zoom) => pyramid().levelFor(zoom));
  assert.deepEqual(levels, [0, 0, 0, 1, 1, 2, 3, 3]);
});

test("only the tiles that a rectangle touches are listed, clipped to the image", () => {
  const places = pyramid().places(0, { left: 500, top: 1900, right: 1030, bottom: 9999 });
  assert.deepEqual(
    places.map((place) => place.address),
    ["/tiles/0/3/0", "/tiles/0/3/1", "/tiles/0/3/2", "/tiles/0/4/0", "/tiles/0/4/1", "/tiles/0/4/2"],
  );
  const last = places.at(-1);
  assert.deepEqual([last.left, last.top, last.right, last.bottom], [1024, 2048, 1536, 2100]);
});

test("the last column of a coarse level is narrower", () => {
  const all = { left: 0, top: 0, right: 3000, bottom: 2100 };
  const places = pyramid().places(1, all);
  assert.equal(places.length, 3 * 3);
  assert.deepEqual(
    places.slice(0, 3).map((place) => place.columns),
    [512, 512, 1500 - 1024],
  );
});

test("nothing is listed outside the image", () => {
  assert.deepEqual(pyramid().places(0, { left: -900, top: -900, right: -1, bottom: -1 }), []);
  assert.deepEqual(pyramid().places(0, { left: 3001, top: 0, right: 4000, bottom: 100 }), []);
});
