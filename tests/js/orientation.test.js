// Orientation of an image on the screen (static/js/viewer/orientation.js).
import assert from "node:assert/strict";
import { test } from "node:test";

import * as orientation from "../../static/js/viewer/orientation.js";

const IMAGE = { width: 200, height: 500 };
const ALL = [0, 1, 2, 3].flatMap((turns) => [false, true].map((flipped) => ({ turns, flipped })));

test("a quarter turn is clockwise", () => {
  const quarter = { turns: 1, flipped: false };
  assert.deepEqual(orientation.shownSize(quarter, IMAGE), { width: 500, height: 200 });
  assert.deepEqual(orientation.toShown(quarter, IMAGE, [0, 0]), [500, 0]);
  assert.deepEqual(orientation.toShown(quarter, IMAGE, [200, 0]), [500, 200]);
});

test("stored and shown points are inverse to each other in all orientations", () => {
  for (const each of ALL) {
    const shown = orientation.toShown(each, IMAGE, [30, 40]);
    assert.deepEqual(orientation.toStored(each, IMAGE, shown), [30, 40]);
  }
});

test("the matrix is the linear part", () => {
  for (const each of ALL) {
    const [a, b, c, d] = orientation.matrix(each);
    const [x, y] = orientation.toShown(each, IMAGE, [0, 0]);
    assert.deepEqual(orientation.toShown(each, IMAGE, [3, 7]), [x + 3 * a + 7 * c, y + 3 * b + 7 * d]);
  }
});

test("four turns and two reflections restore the image; each reflects as it is shown", () => {
  for (const each of ALL) {
    const again = [1, 2, 3, 4].reduce(orientation.turned, each);
    assert.ok(orientation.isSame(again, each));
    assert.ok(orientation.isSame(orientation.mirrored(orientation.mirrored(each)), each));
    const { width } = orientation.shownSize(each, IMAGE);
    const [x, y] = orientation.toShown(each, IMAGE, [30, 40]);
    assert.deepEqual(orientation.toShown(orientation.mirrored(each), IMAGE, [30, 40]), [width - x, y]);
  }
});

test("a box keeps its size, turned", () => {
  const box = { left: 10, top: 20, width: 30, height: 50 };
  assert.deepEqual(orientation.shownBox({ turns: 2, flipped: false }, IMAGE, box), {
    left: 160,
    top: 430,
    width: 30,
    height: 50,
  });
  assert.deepEqual(orientation.shownBox({ turns: 1, flipped: false }, IMAGE, box), {
    left: 430,
    top: 10,
    width: 50,
    height: 30,
  });
});
