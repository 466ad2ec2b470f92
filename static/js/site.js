// Enhancements of every page; pages work without scripts.

// The server writes UTC; show the reader's own time, in her language, and keep UTC as the tip.
const language = document.documentElement.lang;
const local = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, {
  dateStyle: "medium",
  timeStyle: "short",
});
for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.getTime())) continue;
  time.title = time.textContent;
  time.textContent = local.format(moment);
}

// Long-running forms show their state and are sent once.
for (const form of document.querySelectorAll("form[data-busy]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    event.submitter.textContent = form.dataset.busy;
    event.submitter.setAttribute("aria-disabled", "true");
  });
}

// A signature can be undone, by its button or `u`, until its seconds are over; the line stays, so that nothing moves.
const undo = document.querySelector("form[data-undo]");
if (undo) {
  setTimeout(() => undo.classList.add("over"), undo.dataset.undo * 1000);
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "u" || event.ctrlKey || event.altKey || event.metaKey) return;
    if (
      undo.classList.contains("over") ||
      event.target.closest("input:not([type=radio], [type=checkbox], [type=range]), textarea, select")
    )
      return;
    event.preventDefault();
    undo.requestSubmit();
  });
}
window.addEventListener("pageshow", (event) => {
  if (event.persisted) for (const form of document.querySelectorAll("form[data-busy]")) delete form.dataset.sent;
});
