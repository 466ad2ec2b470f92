// Wait until the browser has painted images, at the size that they are shown at: HTMLImageElement.decode() would decode
// each of them once more, at its own size.

// Settles once these images have been painted or have failed to load; a hidden tab paints nothing, and does not wait.
export async function painted(images) {
  await Promise.all(images.map(loaded));
  for (let frames = 0; frames < 2 && !document.hidden; frames += 1) {
    await new Promise((done) => requestAnimationFrame(done));
  }
}

function loaded(image) {
  if (image.complete) return null;
  return new Promise((done) => {
    for (const end of ["load", "error"]) image.addEventListener(end, done, { once: true });
  });
}
