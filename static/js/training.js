// Training pages: refresh while a training runs; show the fields of the chosen data source.
const EVERY = 2000;

function follow(root) {
  const [message, steps, charts, drawings, log] = ["message", "steps", "charts", "drawings", "log"].map((id) =>
    document.getElementById(id),
  );

  function show(now) {
    if (message.textContent !== now.message) message.textContent = now.message;
    steps.max = now.total || 1;
    steps.value = now.done;
    const drawn = Object.values(now.charts);
    charts.hidden = drawn.length === 0;
    drawings.innerHTML = drawn.join("");
    if (log.textContent === now.log) return;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    log.textContent = now.log;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  async function look() {
    try {
      const answer = await fetch(root.dataset.address, { headers: { Accept: "application/json" } });
      if (answer.redirected) return location.reload(); // signed out
      if (answer.ok) {
        const now = await answer.json();
        show(now);
        if (now.state !== "running") return location.reload();
      }
    } catch {
      // The server restarts; the training goes on.
    }
    setTimeout(look, EVERY);
  }

  log.scrollTop = log.scrollHeight;
  setTimeout(look, EVERY);
}

function choose(form) {
  function show() {
    const chosen = form.elements.source.value;
    for (const part of form.querySelectorAll("[data-source]")) part.hidden = part.dataset.source !== chosen;
  }
  form.addEventListener("change", show);
  show();
}

const watched = document.querySelector("#training[data-address]");
if (watched) follow(watched);
const form = document.querySelector(".training-form");
if (form) choose(form);
