// Agreement of side, quadrant and clock face (static/js/breast_location.js).
import assert from "node:assert/strict";
import { test } from "node:test";

import { contradiction, spelled } from "../../static/js/breast_location.js";

const HOURS = { R: { "upper-outer": [9, 10, 11, 12] }, L: { "upper-outer": [12, 1, 2, 3] } };

test("an hour outside of the quadrant contradicts it", () => {
  assert.deepEqual(contradiction(HOURS, "R", "upper-outer", "2"), [[9, 10, 11, 12]]);
  assert.equal(contradiction(HOURS, "L", "upper-outer", "2"), null);
  assert.equal(spelled(contradiction(HOURS, "R", "upper-outer", "2")), "9–12");
});

test("without a side, only an hour that fits in neither breast does", () => {
  assert.equal(contradiction(HOURS, "", "upper-outer", "2"), null);
  assert.equal(spelled(contradiction(HOURS, "", "upper-outer", "6")), "9–12, 12–3");
});

test("what is not stated, or has no hours, contradicts nothing", () => {
  assert.equal(contradiction(HOURS, "R", "central", "3"), null);
  assert.equal(contradiction(HOURS, "R", "", "3"), null);
  assert.equal(contradiction(HOURS, "R", "upper-outer", ""), null);
});
