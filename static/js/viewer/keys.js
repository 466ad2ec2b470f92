// Keys of the viewer. Digits and the other letters belong to the assessment form.

const KEYS = {
  f: "fit",
  z: "actual",
  "+": "closer",
  "=": "closer",
  "-": "further",
  i: "invert",
  w: "preset",
  g: "magnify",
  x: "measure",
  h: "heat",
  H: "aiMarks",
  G: "nextAiMark",
  "[": "heatBefore",
  "]": "heatNext",
  "<": "fainter",
  ">": "stronger",
  v: "layout",
  ",": "previous",
  ".": "next",
  y: "link",
  q: "turn",
  k: "mirror",
  F: "fullScreen",
  e: "prior",
  j: "priorReport",
  Escape: "leave",
  Backspace: "reset",
  "?": "help",
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
export const TYPED_IN =
  "input:not([type=radio], [type=checkbox], [type=range], [type=button], [type=submit]), textarea, select, [contenteditable]";
const TAKES_ARROWS = "input, select, textarea, summary, [role=listbox], [role=radiogroup]";

// commands: functions by the names above, plus arrow(across, down, event) and set(), which return whether they acted; the others return false if they did not
export function listen(root, commands) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (event.target.closest(TYPED_IN) || document.querySelector("dialog[open]")) return;
    if (act(root, commands, event)) event.preventDefault();
  });
}

function act(root, commands, event) {
  const inside = event.target === document.body || root.contains(event.target);
  if (event.key in ARROWS) {
    return inside && !event.target.closest(TAKES_ARROWS) && commands.arrow(...ARROWS[event.key], event);
  }
  if (event.key === " ") return inside && !event.target.closest("button, a, input, summary") && commands.set();
  const name = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (!name) return false;
  return commands[name]() !== false; // a command that does not act here leaves the key to others
}
