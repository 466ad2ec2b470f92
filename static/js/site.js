// What every page gains from scripts; each page works without them.
for (const element of document.querySelectorAll(".needs-script")) element.hidden = false;

// The server writes UTC; show the reader's own time and keep UTC as the tip.
const local = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.getTime())) continue;
  time.title = time.textContent;
  time.textContent = local.format(moment);
}

// A form that takes a while says so and is not sent twice.
for (const form of document.querySelectorAll("form[data-busy]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    event.submitter.textContent = form.dataset.busy;
    event.submitter.setAttribute("aria-disabled", "true");
  });
}
window.addEventListener("pageshow", (event) => {
  if (event.persisted) for (const form of document.querySelectorAll("form[data-busy]")) delete form.dataset.sent;
});
