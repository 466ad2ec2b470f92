// The reading room beyond viewer and form: others see that this exam is open here, and `o` opens the AI result or asks for it.
import { TYPED_IN } from "./viewer/keys.js";

const room = document.querySelector("[data-reading-room]");
const aiResult = room.querySelector("[data-ai-result]");
const EVERY_MS = 30_000;
// Somebody has been at the keyboard or the mouse since the last report: only this keeps the session alive.
let active = false;
for (const sign of ["keydown", "pointermove", "wheel"]) {
  document.addEventListener(sign, () => (active = true), { passive: true });
}

// Report to the server that the exam is open here, or closed. A lost report does no harm: the next one follows.
function tell(release) {
  const body = new FormData();
  body.set("csrf_token", room.dataset.token);
  if (release) body.set("release", "1");
  if (active) body.set("active", "1");
  active = false;
  return fetch(room.dataset.claim, { method: "POST", body, keepalive: true }).catch(() => {});
}

if (room.dataset.claim) {
  tell();
  setInterval(() => document.hidden || tell(), EVERY_MS);
  window.addEventListener("pagehide", () => tell(true));
  window.addEventListener("pageshow", (event) => event.persisted && tell());
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
  if (event.target.closest(TYPED_IN) || document.querySelector("dialog[open]")) return;
  const ask = room.querySelector("[data-ask]");
  if (event.key.toLowerCase() !== "o" || !(aiResult ?? ask)) return;
  if (ask) {
    event.preventDefault();
    ask.click();
    return;
  }
  aiResult.open = !aiResult.open;
  if (aiResult.open) aiResult.scrollIntoView({ block: "nearest" });
  event.preventDefault();
});

// Prefetch the next exam's images and tiles when this exam is at full resolution.
room.addEventListener(
  "birads:settled",
  async () => {
    const next = room.querySelector("a[rel=next]");
    if (!next) return;
    try {
      const { addresses } = await (await fetch(next.dataset.prefetch)).json();
      for (const address of addresses) await (await fetch(address)).blob();
    } catch {
      // The next page loads what it needs by itself.
    }
  },
  { once: true },
);
