// Placement of several breasts beside each other, as pure functions: same scale, chest walls together, nipples level.
//
// A hung breast is {box, level, unit, cell, hangs}: its box {left, top, width, height} and the height of the nipple (or
// of the box's middle) in shown pixels; mm per pixel, or 1; its cell's size; 0, 0.5 or 1 for the side of its chest wall.

const ALIKE = 2; // boxes without a known spacing whose heights differ by more are of different resolution

// Unit of each box, so that all have the same scale: mm if all spacings are known, else pixels, else heights.
export function units(boxes, spacings) {
  if (spacings.every(Boolean)) return spacings.map(([row]) => row);
  const heights = boxes.map((box) => box.height);
  if (Math.max(...heights) <= ALIKE * Math.min(...heights)) return boxes.map(() => 1);
  return heights.map((height) => 1 / height);
}

// Placements {scale, x, y} of rows of breasts that fill their cells at one scale.
export function hang(rows) {
  const scale = Math.min(...rows.map(largest));
  return rows.map((row) => {
    const { above, below } = reach(row);
    return row.map((hung) => {
      const own = scale * hung.unit;
      const line = (hung.cell.height - (above + below) * scale) / 2 + above * scale;
      return { scale: own, x: across(hung, own), y: line - hung.level * own };
    });
  });
}

// Reach of a row's breasts above and below their common level, in units.
const reach = (row) => ({
  above: Math.max(...row.map(({ box, level, unit }) => (level - box.top) * unit)),
  below: Math.max(...row.map(({ box, level, unit }) => (box.top + box.height - level) * unit)),
});

// Largest scale, in page pixels per unit, at which a row's breasts fit into their cells.
function largest(row) {
  const { above, below } = reach(row);
  return Math.min(
    ...row.map(({ box, unit, cell }) => Math.min(cell.width / (box.width * unit), cell.height / (above + below))),
  );
}

// Position of the image across the cell, with the chest wall at the cell's edge.
const across = ({ box, cell, hangs }, scale) => (cell.width - box.width * scale) * hangs - box.left * scale;
