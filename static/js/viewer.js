// Heat maps over images: the check box and the choice of category work by CSS alone; this adds the slider
// and the keys.
function viewer(root) {
  const maps = root.querySelectorAll(".heat");
  const shown = root.querySelector(".heat-on");
  const slider = root.querySelector(".opacity");
  const output = root.querySelector("output");

  function apply() {
    output.textContent = `${slider.value}%`;
    for (const map of maps) map.style.opacity = slider.value / 100;
  }

  function press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const digit = /^[0-6]$/.test(event.key) && root.querySelector(`input[type="radio"][value="${event.key}"]`);
    if (digit) digit.checked = true;
    else if (event.key === "h" || event.key === "H") shown.checked = !shown.checked;
    else if (event.key === "+" || event.key === "=") slider.stepUp(2);
    else if (event.key === "-") slider.stepDown(2);
    else return;
    event.preventDefault();
    apply();
  }

  slider.addEventListener("input", apply);
  root.querySelector(".stage").addEventListener("keydown", press);
  apply();
}

for (const root of document.querySelectorAll("[data-viewer]")) viewer(root);
