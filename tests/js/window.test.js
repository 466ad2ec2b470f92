// Window level and width, and the grey levels they give (static/js/viewer/window.js).
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  adjust,
  asOpened,
  colours,
  isAsOpened,
  LEVELS,
  namedWindow,
  setWindow,
  windowOf,
} from "../../static/js/viewer/window.js";

const LINEAR = { presets: [{ shape: "linear", low: 1000, high: 3000 }], ends: [0, 4095] };
const grey = (table, value) => table[value] & 0xff;

test("a look starts as the file says and knows when it was changed", () => {
  const look = asOpened();
  assert.ok(isAsOpened(look));
  adjust(look, 0.1, 0);
  assert.ok(!isAsOpened(look));
});

test("brighter lowers the centre, wider stretches the width", () => {
  const look = asOpened();
  assert.deepEqual(windowOf(look, LINEAR), { centre: 2000, width: 2000 });
  adjust(look, 0.1, 0);
  assert.deepEqual(windowOf(look, LINEAR), { centre: 1800, width: 2000 });
  adjust(look, 0, Math.log(2));
  assert.ok(Math.abs(windowOf(look, LINEAR).width - 4000) < 1e-6);
});

test("the width stays within its limits", () => {
  const look = asOpened();
  adjust(look, 0, -1000);
  assert.equal(look.stretch, 0.01);
  adjust(look, 0, 1000);
  assert.equal(look.stretch, 20);
});

test("the window is named in the file's own values", () => {
  const named = namedWindow(asOpened(), LINEAR);
  const unit = 4095 / (LEVELS - 1);
  assert.ok(Math.abs(named.centre - 2000 * unit) < 1e-9);
  assert.ok(Math.abs(named.width - 2000 * unit) < 1e-9);
  assert.equal(namedWindow(asOpened(), { ...LINEAR, ends: null }), null);
});

test("the header's own window is named, and set as it is written", () => {
  const unit = 4095 / (LEVELS - 1);
  const [centre, width] = [1900, 900];
  const preset = { shape: "linear", low: (centre - 450) / unit, high: (centre + 449) / unit, window: [centre, width] };
  const about = { presets: [preset], ends: [0, 4095] };
  const near = (found, expected) => {
    assert.ok(Math.abs(found.centre - expected[0]) < 1e-6 && Math.abs(found.width - expected[1]) < 1e-6);
  };
  const look = asOpened();
  near(namedWindow(look, about), [1900, 900]);
  setWindow(look, about, 2000, 500);
  near(namedWindow(look, about), [2000, 500]);
  setWindow(look, about, centre, width);
  assert.ok(Math.abs(look.shift) < 1e-9 && Math.abs(look.stretch - 1) < 1e-9);
});

test("a linear window maps its ends to black and white", () => {
  const table = colours(asOpened(), LINEAR);
  assert.deepEqual(
    [0, 1000, 2000, 3000, 65535].map((value) => grey(table, value)),
    [0, 0, 128, 255, 255],
  );
  const inverted = colours({ ...asOpened(), inverted: true }, LINEAR);
  assert.deepEqual(
    [0, 1000, 3000].map((value) => grey(inverted, value)),
    [255, 255, 0],
  );
});

test("a sigmoid is half way at its centre, a table is looked up", () => {
  const sigmoid = colours(asOpened(), { presets: [{ shape: "sigmoid", low: 1000, high: 3000 }] });
  assert.equal(grey(sigmoid, 2000), 128);
  assert.ok(grey(sigmoid, 1000) > 25 && grey(sigmoid, 1000) < 35);
  const table = colours(asOpened(), { presets: [{ shape: "table", low: 0, high: 100, table: [0, 65535, 0] }] });
  assert.deepEqual(
    [0, 50, 100].map((value) => grey(table, value)),
    [0, 255, 0],
  );
});
