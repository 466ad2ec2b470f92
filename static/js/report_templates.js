// Insert the texts of a report template into the empty fields of the assessment form.

/** Fill the fields that are empty, and tell the form that they changed. */
function insert(form, texts) {
  for (const [name, text] of Object.entries(texts)) {
    const field = form.elements[name === "text" ? "text" : `section-${name}`];
    if (!field || field.value.trim()) continue;
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

const choice = document.querySelector("[data-report-template]");
choice?.addEventListener("change", () => {
  const texts = choice.selectedOptions[0].dataset.texts;
  if (texts) insert(choice.form, JSON.parse(texts));
  choice.value = "";
});
