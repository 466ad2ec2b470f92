// Display grey levels from tile values: a preset's curve, shifted and stretched by the reader.

export const LEVELS = 65536;
const MIN_STRETCH = 0.01;
const MAX_STRETCH = 20;

// The reader's settings: preset index, shift in window widths, stretch factor, inversion.
export const asOpened = () => ({ preset: 0, shift: 0, stretch: 1, inverted: false });

export const isAsOpened = (look) => look.preset === 0 && look.shift === 0 && look.stretch === 1 && !look.inverted;

export const presetOf = (look, about) => about.presets[look.preset % about.presets.length];

// Change level and width, in fractions of the window width.
export function adjust(look, brighter, wider) {
  look.shift -= brighter * look.stretch;
  look.stretch = Math.min(MAX_STRETCH, Math.max(MIN_STRETCH, look.stretch * Math.exp(wider)));
}

// Window centre and width in tile values.
export function windowOf(look, about) {
  const { low, high } = presetOf(look, about);
  const width = high - low;
  return { centre: (low + high) / 2 + look.shift * width, width: width * look.stretch };
}

// Window centre and width in the file's own values, as its header states them; null if these are unknown.
export function namedWindow(look, about) {
  if (!about.ends) return null;
  const named = inOwnValues(windowOf(look, about), about);
  const { centre, width } = stated(presetOf(look, about), about);
  return { centre: named.centre + centre, width: named.width + width };
}

// Set centre and width, in the file's own values.
export function setWindow(look, about, centre, width) {
  const preset = presetOf(look, about);
  const extra = stated(preset, about);
  const unit = (about.ends[1] - about.ends[0]) / (LEVELS - 1);
  const whole = preset.high - preset.low || 1;
  const wanted = (width - extra.width) / Math.abs(unit);
  const middle = (centre - extra.centre - about.ends[0]) / unit;
  look.shift = (middle - (preset.low + preset.high) / 2) / whole;
  look.stretch = Math.min(MAX_STRETCH, Math.max(MIN_STRETCH, wanted / whole));
}

// Differences of the centre and width that the header states to those of the preset's curve: DICOM's linear function
// reaches from 0.5 below the centre, over a width of one less.
function stated(preset, about) {
  if (!preset.window) return { centre: 0, width: 0 };
  const own = inOwnValues({ centre: (preset.low + preset.high) / 2, width: preset.high - preset.low }, about);
  return { centre: preset.window[0] - own.centre, width: preset.window[1] - own.width };
}

function inOwnValues({ centre, width }, { ends }) {
  const unit = (ends[1] - ends[0]) / (LEVELS - 1);
  return { centre: ends[0] + unit * centre, width: Math.abs(unit * width) };
}

// Colour of each level as a 32-bit canvas pixel.
export function colours(look, about) {
  const grey = greyOf(presetOf(look, about), windowOf(look, about));
  const table = new Uint32Array(LEVELS);
  for (let value = 0; value < LEVELS; value += 1) {
    const level = Math.round(255 * grey(value));
    const shown = look.inverted ? 255 - level : level;
    table[value] = 0xff000000 | (shown << 16) | (shown << 8) | shown;
  }
  return table;
}

function greyOf(preset, { centre, width }) {
  const low = centre - width / 2;
  if (width <= 0) return (value) => (value > low ? 1 : 0);
  if (preset.shape === "sigmoid") return (value) => 1 / (1 + Math.exp((-4 * (value - centre)) / width));
  if (preset.shape === "linear") return (value) => Math.min(1, Math.max(0, (value - low) / width));
  const last = preset.table.length - 1;
  return (value) => {
    const entry = Math.round(((value - low) / width) * last);
    return preset.table[Math.min(last, Math.max(0, entry))] / (LEVELS - 1);
  };
}
