// The page of data sets: while an upload is under way, say how much of it is unpacked.
const EVERY = 1000;

const form = document.querySelector("form[data-progress]");
const told = document.getElementById("unpacking");

async function look() {
  try {
    const address = `${form.dataset.progress}?name=${encodeURIComponent(form.elements.name.value)}`;
    const answer = await fetch(address, { headers: { Accept: "application/json" } });
    if (answer.ok && !answer.redirected) told.textContent = (await answer.json()).text;
  } catch {
    // The next look may succeed.
  }
  setTimeout(look, EVERY);
}

form?.addEventListener("submit", () => setTimeout(look, EVERY), { once: true });
