// Unsaved entries of the assessment form, sent to the server while they are typed. Leaving asks while some are not there.

const PAUSE_MS = 500;
const RETRY_MS = 4000;

// form: the assessment form; lost(stale): called if the entries could not be kept
export function workingDraft(form, lost) {
  let changed = false;
  let leaving = false;
  let timer = 0;
  let sending = Promise.resolve();

  function later(pause) {
    clearTimeout(timer);
    timer = setTimeout(flush, pause);
  }

  async function send() {
    if (!changed || leaving) return;
    changed = false;
    try {
      const answer = await fetch(form.dataset.keep, { method: "POST", body: new FormData(form), keepalive: true });
      if (answer.status === 409) lost(true);
      else if (!answer.ok || answer.redirected) throw new Error(answer.statusText);
      else if (!changed) form.dataset.kept = "yes";
    } catch {
      if (leaving) return;
      changed = true;
      lost(false);
      later(RETRY_MS);
    }
  }

  // Send what has changed; true once the server has all of it.
  async function flush() {
    clearTimeout(timer);
    sending = sending.then(send);
    await sending;
    return !changed;
  }

  function note() {
    changed = true;
    form.dataset.kept = "";
    later(PAUSE_MS);
  }

  const outside = [...form.elements].filter((field) => !form.contains(field));
  for (const source of [form, ...outside]) {
    source.addEventListener("input", note);
    source.addEventListener("change", note);
  }
  form.addEventListener("submit", () => {
    leaving = true; // the form carries all entries
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) leaving = false;
  });
  window.addEventListener("beforeunload", (event) => {
    if (!changed || leaving) return;
    flush(); // goes on while the browser asks, and after it
    event.preventDefault();
  });
  window.addEventListener("online", flush);
  // Links of the page wait for the entries; if they cannot be kept, leaving asks.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[href]");
    const elsewhere = event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey;
    if (!link || elsewhere || !changed || link.target || link.hasAttribute("download")) return;
    if (link.getAttribute("href").startsWith("#")) return;
    event.preventDefault();
    await flush();
    location.assign(link.href);
  });
  return { note };
}
