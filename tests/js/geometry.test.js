// Placement of an image in its cell (static/js/viewer/geometry.js).
import assert from "node:assert/strict";
import { test } from "node:test";

import * as geometry from "../../static/js/viewer/geometry.js";

const IMAGE = { width: 2000, height: 4000 };
const CELL = { width: 500, height: 800 };

function close(found, expected) {
  for (const [index, value] of found.entries()) {
    assert.ok(Math.abs(value - expected[index]) < 1e-9, `${found} is not ${expected}`);
  }
}

test("fit shows the whole image and aligns it with the chest wall", () => {
  assert.deepEqual(geometry.fit(IMAGE, CELL, 0), { scale: 0.2, x: 0, y: 0 });
  assert.deepEqual(geometry.fit(IMAGE, CELL, 1), { scale: 0.2, x: 100, y: 0 });
  assert.deepEqual(geometry.fit({ width: 4000, height: 2000 }, CELL, 0.5), { scale: 0.125, x: 0, y: 275 });
});

test("zooming keeps the point under the pointer", () => {
  const before = geometry.fit(IMAGE, CELL, 0.5);
  const point = geometry.toImage(before, 180, 420);
  for (const scale of [0.1, 0.2, 1, 16]) {
    const after = geometry.zoomAround(before, scale, 180, 420);
    assert.equal(after.scale, scale);
    close(geometry.toImage(after, 180, 420), point);
  }
});

test("cell and image coordinates are inverse to each other", () => {
  const placement = { scale: 0.37, x: -211, y: 45 };
  close(geometry.toCell(placement, geometry.toImage(placement, 123, 456)), [123, 456]);
  close(geometry.toImage(placement, ...geometry.toCell(placement, [1999, 3])), [1999, 3]);
});

test("centreOn puts the point in the middle of the cell at the same scale", () => {
  const placement = geometry.centreOn({ scale: 2 }, IMAGE, CELL, 0.25, 0.75);
  assert.equal(placement.scale, 2);
  close(geometry.toImage(placement, 250, 400), [500, 3000]);
});

test("panning leaves a quarter of the breast, or of the cell, in sight", () => {
  const breast = { left: 1000, top: 1000, width: 1000, height: 2000 };
  const far = geometry.keepInSight({ scale: 0.2, x: 9999, y: -9999 }, breast, CELL);
  assert.deepEqual(far, { scale: 0.2, x: 500 - 50 - 200, y: 100 - 600 });
  const other = geometry.keepInSight({ scale: 0.2, x: -9999, y: 9999 }, breast, CELL);
  assert.deepEqual(other, { scale: 0.2, x: 50 - 400, y: 800 - 100 - 200 });
  const near = geometry.keepInSight({ scale: 2, x: -99999, y: -99999 }, breast, CELL);
  assert.deepEqual(near, { scale: 2, x: 125 - 4000, y: 200 - 6000 });
  const inside = { scale: 0.2, x: -30, y: -40 };
  assert.deepEqual(geometry.keepInSight(inside, breast, CELL), inside);
});

test("the visible middle is that of the part inside the cell", () => {
  assert.deepEqual(geometry.visibleMiddle({ scale: 0.2, x: 0, y: 0 }, IMAGE, CELL), [200, 400]);
  assert.deepEqual(geometry.visibleMiddle({ scale: 1, x: -1800, y: -100 }, IMAGE, CELL), [100, 400]);
  assert.deepEqual(geometry.visibleMiddle({ scale: 0.2, x: 300, y: 700 }, IMAGE, CELL), [400, 750]);
});

test("distances use row spacing down and column spacing across", () => {
  const line = [
    [0, 0],
    [30, 40],
  ];
  assert.ok(Math.abs(geometry.millimetres(line, [0.1, 0.1]) - 5) < 1e-9);
  assert.ok(Math.abs(geometry.millimetres(line, [0.2, 0.1]) - Math.hypot(8, 3)) < 1e-9);
  assert.equal(geometry.millimetres(line, null), null);
  assert.equal(geometry.millimetres(line, undefined), null);
});

test("a placement is moved just so far that a point comes into the middle part of the cell", () => {
  const cell = { width: 100, height: 200 };
  const points = [
    [0, 0],
    [300, 300],
  ];
  const away = { scale: 1, x: -120, y: 60 };
  assert.deepEqual(geometry.withPoint(away, points, cell), { scale: 1, x: 25, y: 60 });
  assert.deepEqual(geometry.withPoint({ scale: 1, x: 50, y: 100 }, points, cell), { scale: 1, x: 50, y: 100 });
  assert.deepEqual(geometry.withPoint(away, [], cell), away);
});
