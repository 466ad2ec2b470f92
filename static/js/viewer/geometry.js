// Placement of an image in its cell, as pure functions. A placement is {scale, x, y}: page pixels per image pixel, and
// the image's top left corner in the cell. Cells and images are {width, height}; lengths are page pixels unless noted.

// Share of the breast, or of the cell if that is smaller, that panning keeps in the cell; and share of the cell's sides
// beside its middle part.
const IN_SIGHT = 0.25;

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// Largest scale at which the whole image is visible.
export const fitScale = (image, cell) => Math.min(cell.width / image.width, cell.height / image.height);

// Fit the image to the cell; align is 0 for the left edge, 0.5 for the middle, 1 for the right edge.
export function fit(image, cell, align) {
  const scale = fitScale(image, cell);
  return {
    scale,
    x: (cell.width - image.width * scale) * align,
    y: (cell.height - image.height * scale) / 2,
  };
}

// Change the scale and keep the point (x, y) of the cell over the same point of the image.
export function zoomAround(placement, scale, x, y) {
  const ratio = scale / placement.scale;
  return { scale, x: x - (x - placement.x) * ratio, y: y - (y - placement.y) * ratio };
}

// Put a point, given as fractions of the image, in the middle of the cell.
export function centreOn({ scale }, image, cell, x, y) {
  return { scale, x: cell.width / 2 - x * image.width * scale, y: cell.height / 2 - y * image.height * scale };
}

// Limit a placement so that the breast, a box {left, top, width, height} of the image, cannot be lost.
export function keepInSight({ scale, x, y }, box, cell) {
  const along = (place, from, length, room) => {
    const least = IN_SIGHT * Math.min(length * scale, room);
    return clamp(place, least - (from + length) * scale, room - least - from * scale);
  };
  return {
    scale,
    x: along(x, box.left, box.width, cell.width),
    y: along(y, box.top, box.height, cell.height),
  };
}

// Move a placement by the least distance that brings one of the points, in image pixels, into the middle part of the
// cell: a corner of the breast's box may be empty.
export function withPoint(placement, points, cell) {
  let least = { distance: points.length ? Number.POSITIVE_INFINITY : 0, across: 0, down: 0 };
  for (const point of points) {
    const [x, y] = toCell(placement, point);
    const across = clamp(x, IN_SIGHT * cell.width, (1 - IN_SIGHT) * cell.width) - x;
    const down = clamp(y, IN_SIGHT * cell.height, (1 - IN_SIGHT) * cell.height) - y;
    const distance = Math.hypot(across, down);
    if (distance < least.distance) least = { distance, across, down };
  }
  return { scale: placement.scale, x: placement.x + least.across, y: placement.y + least.down };
}

// Middle of the visible part of the image, in the cell.
export function visibleMiddle({ scale, x, y }, image, cell) {
  const middle = (from, length, room) => (Math.max(0, from) + Math.min(room, from + length)) / 2;
  return [middle(x, image.width * scale, cell.width), middle(y, image.height * scale, cell.height)];
}

// Convert a point of the cell to image pixels.
export const toImage = ({ scale, x, y }, cellX, cellY) => [(cellX - x) / scale, (cellY - y) / scale];

// Convert a point in image pixels to the cell.
export const toCell = ({ scale, x, y }, [imageX, imageY]) => [x + imageX * scale, y + imageY * scale];

// Distance in mm between two points in image pixels; spacing is [row, column] in mm, or null if unknown.
export function millimetres([[fromX, fromY], [toX, toY]], spacing) {
  return spacing ? Math.hypot((toY - fromY) * spacing[0], (toX - fromX) * spacing[1]) : null;
}
