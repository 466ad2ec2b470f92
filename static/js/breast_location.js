// Agreement of a finding's side, quadrant and clock face, by the rule of birads_app/terms/breast_location.py.

// Return the hours of the quadrant, a list for each breast that is meant, if the three cannot all be right; else null.
// hours: by side and quadrant; side, quadrant and clock: codes as chosen, empty if not stated
export function contradiction(hours, side, quadrant, clock) {
  const fitting = (side ? [side] : Object.keys(hours)).map((each) => hours[each][quadrant]);
  if (!clock || fitting.some((each) => !each || each.includes(Number(clock)))) return null;
  return fitting;
}

// Write hours as "9–12, 12–3".
export const spelled = (fitting) => fitting.map((each) => `${each[0]}–${each.at(-1)}`).join(", ");
