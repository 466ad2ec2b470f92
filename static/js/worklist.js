// Keyboard control of the worklist: arrow keys move, Enter opens the exam, the space bar selects it.
const rows = [...document.querySelectorAll(".worklist tbody tr")];
const boxes = rows.map((row) => row.querySelector("input[name=exam]"));
const links = rows.map((row) => row.querySelector("a"));
const all = document.getElementById("pick-all");

function busyElsewhere(target) {
  return target.closest("input:not([type=checkbox]), select, textarea, button");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || busyElsewhere(event.target)) return;
  const here = rows.indexOf(event.target.closest("tr"));
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && links.length) {
    links[Math.min(links.length - 1, Math.max(0, here < 0 ? 0 : here + step))].focus();
  } else if (event.key === " " && here >= 0 && event.target === links[here]) {
    boxes[here].click();
  } else {
    return;
  }
  event.preventDefault();
});

if (all) {
  all.hidden = false;
  all.addEventListener("change", () =>
    boxes.forEach((box) => {
      box.checked = all.checked;
    }),
  );
}
