// Refusals of keys: said aloud, shown over the page for a moment, and heard unless the reader has switched sounds off.

const SOUND_STORE = "birads-refusal-sound";
const SHOWN_MS = 6000;
const [PITCH_HZ, LENGTH_S, VOLUME] = [196, 0.12, 0.08];

// Return a function that refuses with a text. place: the element that shows it; sound: the checkbox of the setting.
export function refuser(place, sound) {
  let context = null;
  let timer = 0;
  sound.checked = localStorage.getItem(SOUND_STORE) !== "off";
  sound.addEventListener("change", () => localStorage.setItem(SOUND_STORE, sound.checked ? "on" : "off"));

  function beep() {
    context ??= new AudioContext();
    const [tone, volume] = [context.createOscillator(), context.createGain()];
    tone.frequency.value = PITCH_HZ;
    volume.gain.value = VOLUME;
    tone.connect(volume).connect(context.destination);
    tone.start();
    tone.stop(context.currentTime + LENGTH_S);
  }

  return (text) => {
    clearTimeout(timer);
    place.textContent = ""; // the same text twice is said twice
    place.textContent = text;
    timer = setTimeout(() => (place.textContent = ""), SHOWN_MS);
    if (sound.checked && "AudioContext" in window) beep();
  };
}
