// Shape of a breast for panning: points on a coarse grid, read from the display image.

const GRID = 48; // points along each side of the breast's box
const BRIGHT = 0.2; // tissue is brighter than the darkest point by this share of the difference to the brightest

// Points [x, y] of the breast, in pixels of the stored image.
// display: the loaded display image; image: its {width, height} as stored; box: {left, top, width, height} of the breast
export function tissue(display, image, box) {
  const canvas = new OffscreenCanvas(GRID, GRID);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const [across, down] = [display.naturalWidth / image.width, display.naturalHeight / image.height];
  const part = [box.left * across, box.top * down, box.width * across, box.height * down];
  context.drawImage(display, ...part, 0, 0, GRID, GRID);
  const { data } = context.getImageData(0, 0, GRID, GRID);
  const greys = Array.from({ length: GRID * GRID }, (_, place) => data[4 * place]);
  const darkest = Math.min(...greys);
  const level = darkest + BRIGHT * (Math.max(...greys) - darkest);
  const points = [];
  for (const [place, grey] of greys.entries()) {
    const [row, column] = [Math.floor(place / GRID), place % GRID];
    if (grey >= level)
      points.push([box.left + ((column + 0.5) / GRID) * box.width, box.top + ((row + 0.5) / GRID) * box.height]);
  }
  return points;
}
