// Keys of the assessment form (static/js/assessment_keys.js).
import assert from "node:assert/strict";
import { test } from "node:test";

import { keyReader } from "../../static/js/assessment_keys.js";

function read(keys) {
  const reader = keyReader();
  return keys.map((key) => {
    const command = reader(key);
    return (
      command &&
      [command.name, command.category ?? command.density ?? command.side].filter((part) => part !== undefined).join(" ")
    );
  });
}

test("digits 0 to 6 choose a category, others nothing", () => {
  assert.deepEqual(
    read([..."0123456789"]).slice(0, 7),
    [..."0123456"].map((code) => `category ${code}`),
  );
  assert.deepEqual(read(["7", "8", "9"]), [null, null, null]);
});

test("4 and then A, B or C subdivides category 4", () => {
  assert.deepEqual(read(["4", "a"]), ["category 4", "category 4A"]);
  assert.deepEqual(read(["4", "c"]), ["category 4", "category 4C"]);
  assert.deepEqual(read(["4", "d", "a"]), ["category 4", "await density", "density A"]);
});

test("B aims at both breasts unless it subdivides a 4", () => {
  assert.deepEqual(read(["b", "2"]), ["aim ", "category 2"]);
  assert.deepEqual(read(["4", "b", "b"]), ["category 4", "category 4B", "aim "]);
});

test("D and then A to D gives the density; another key is refused and ends the sequence", () => {
  assert.deepEqual(read(["d", "d"]), ["await density", "density D"]);
  assert.deepEqual(read(["d", "r", "a"]), ["await density", "refuse density", null]);
  assert.deepEqual(read(["d", "3", "3"]), ["await density", "refuse density", "category 3"]);
  assert.deepEqual(read(["d", "Enter"]), ["await density", "refuse density"]);
  assert.deepEqual(read(["d", "Escape", "3"]), ["await density", null, "category 3"]);
});

test("R, L, Enter and the letters of actions have their commands", () => {
  assert.deepEqual(read(["r", "l", "m", "t", "s", "n", "p", "Enter"]), [
    "aim R",
    "aim L",
    "mark",
    "write",
    "save",
    "next",
    "previous",
    "sign",
  ]);
});

test("names of object properties are not commands", () => {
  assert.deepEqual(read(["constructor", "toString", "q", " "]), [null, null, null, null]);
});

test("two readers do not share a sequence", () => {
  const [first, second] = [keyReader(), keyReader()];
  first("4");
  assert.equal(second("a"), null);
  assert.equal(first("a").category, "4A");
});
