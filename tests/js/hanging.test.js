// Breasts beside each other (static/js/viewer/hanging.js).
import assert from "node:assert/strict";
import { test } from "node:test";

import { hang, units } from "../../static/js/viewer/hanging.js";

const CELL = { width: 300, height: 800 };
// The same breast in a padded image, and cropped to itself; the second is shown from the other side.
const PADDED = { box: { left: 900, top: 400, width: 600, height: 1600 }, level: 1000, unit: 1, cell: CELL, hangs: 1 };
const CROPPED = { box: { left: 0, top: 0, width: 600, height: 1600 }, level: 600, unit: 1, cell: CELL, hangs: 0 };

const edge = ({ box }, { scale, x }, share) => x + (box.left + share * box.width) * scale;
const nipple = ({ level }, { scale, y }) => y + level * scale;

test("padded and cropped images hang alike: chest walls meet, same scale, nipples level", () => {
  const [[right, left]] = hang([[PADDED, CROPPED]]);
  assert.equal(right.scale, 0.5);
  assert.equal(left.scale, right.scale);
  assert.equal(edge(PADDED, right, 1), CELL.width);
  assert.equal(edge(CROPPED, left, 0), 0);
  assert.equal(nipple(PADDED, right), nipple(CROPPED, left));
});

test("breasts whose nipples differ in height fit wholly into their cells", () => {
  const low = { ...CROPPED, level: 1200 };
  const [[right, left]] = hang([[PADDED, low]]);
  assert.ok(Math.abs(nipple(PADDED, right) - nipple(low, left)) < 1e-9);
  for (const [hung, { scale, y }] of [
    [PADDED, right],
    [low, left],
  ]) {
    assert.ok(y + hung.box.top * scale >= -1e-9);
    assert.ok(y + (hung.box.top + hung.box.height) * scale <= CELL.height + 1e-9);
  }
});

test("all rows have the scale of the narrowest place, in millimetres", () => {
  const fine = { ...CROPPED, box: { left: 0, top: 0, width: 1200, height: 3200 }, level: 1200, unit: 0.05 };
  const [[first], [second]] = hang([[{ ...PADDED, unit: 0.1 }], [fine]]);
  assert.ok(Math.abs(first.scale / 0.1 - second.scale / 0.05) < 1e-9);
});

test("without all spacings pixels count, or heights if resolutions differ", () => {
  const boxes = [{ height: 1000 }, { height: 1500 }];
  const [coarse, fine] = [0.07, 0.05].map((side) => [side, side]);
  assert.deepEqual(units(boxes, [coarse, fine]), [0.07, 0.05]);
  assert.deepEqual(units(boxes, [coarse, null]), [1, 1]);
  assert.deepEqual(units([{ height: 400 }, { height: 1000 }], [null, null]), [1 / 400, 1 / 1000]);
});
