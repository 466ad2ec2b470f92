// Keys of the assessment form, without the form: a reader turns one key after the other into commands.

const CATEGORIES = /^[0-6]$/;
const COMMANDS = {
  r: { name: "aim", side: "R" },
  l: { name: "aim", side: "L" },
  b: { name: "aim", side: "" },
  m: { name: "mark" },
  t: { name: "write" },
  s: { name: "save" },
  n: { name: "next" },
  p: { name: "previous" },
  Enter: { name: "sign" },
};

// Return a function that takes a key ("4", "a", "Enter"; lower case) and returns its command, or null if it has none.
// Sequences: 4 then A, B or C subdivides category 4; D then A to D gives the density. Another key after D is refused, so that
// it sets no other field; Escape ends a sequence.
export function keyReader() {
  let pending = "";

  function finish(key) {
    const begun = pending;
    pending = "";
    if (begun === "4" && /^[abc]$/.test(key)) return { name: "category", category: `4${key.toUpperCase()}` };
    if (begun === "d" && /^[abcd]$/.test(key)) return { name: "density", density: key.toUpperCase() };
    return begun === "d" && key !== "Escape" ? { name: "refuse density" } : null;
  }

  return (key) => {
    const finished = finish(key);
    if (finished) return finished;
    if (CATEGORIES.test(key)) {
      if (key === "4") pending = "4";
      return { name: "category", category: key };
    }
    if (key === "d") {
      pending = "d";
      return { name: "await density" };
    }
    return Object.hasOwn(COMMANDS, key) ? COMMANDS[key] : null;
  };
}
