// Drawings over a view: marks of the model, numbered marks of the reader, a measured distance, the keyboard crosshair.

const RING = 16;
const ACCENT = "#86c7d8";
const AMBER = "#e3b25a";

export function drawOver(view, context, viewer) {
  context.font = "600 13px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  viewer.aiMarks?.draw(view, context);
  for (const mark of view.marks) drawMark(context, view.toCell([mark.x * view.width, mark.y * view.height]), mark);
  if (view.line)
    drawLine(
      context,
      view.line.map((end) => view.toCell(end)),
      viewer.length(view, view.line),
    );
  if (view.cursor) drawCross(context, view.cursor);
}

function drawMark(context, [x, y], { number, current }) {
  stroked(context, current ? AMBER : ACCENT, current ? 2.5 : 1.5, () => context.arc(x, y, RING, 0, 2 * Math.PI));
  text(context, String(number), x + RING + 4, y - RING, current ? AMBER : ACCENT);
}

function drawLine(context, [[fromX, fromY], [toX, toY]], label) {
  stroked(context, ACCENT, 1.5, () => {
    context.moveTo(fromX, fromY);
    context.lineTo(toX, toY);
  });
  for (const [x, y] of [
    [fromX, fromY],
    [toX, toY],
  ]) {
    stroked(context, ACCENT, 1.5, () => context.arc(x, y, 4, 0, 2 * Math.PI));
  }
  text(context, label, toX + 10, toY - 12, ACCENT);
}

function drawCross(context, { x, y }) {
  stroked(context, AMBER, 1.5, () => {
    context.moveTo(x - 12, y);
    context.lineTo(x + 12, y);
    context.moveTo(x, y - 12);
    context.lineTo(x, y + 12);
  });
}

// Strokes have a dark rim so that they show on white tissue; that of a dashed one has no gaps.
export function stroked(context, colour, width, shape, dashes = []) {
  for (const [style, extra, pattern] of [
    ["rgb(0 0 0 / 70%)", 2, []],
    [colour, 0, dashes],
  ]) {
    context.beginPath();
    context.setLineDash(pattern);
    shape();
    context.lineWidth = width + extra;
    context.strokeStyle = style;
    context.stroke();
  }
  context.setLineDash([]);
}

// Draw a label beside a point, within the canvas.
export function text(context, words, x, y, colour) {
  const width = context.measureText(words).width;
  const room = context.canvas.clientWidth - width - 4;
  const [left, middle] = [Math.max(4, Math.min(room, x)), Math.max(10, y)];
  context.lineWidth = 3;
  context.strokeStyle = "rgb(0 0 0 / 80%)";
  context.strokeText(words, left, middle);
  context.fillStyle = colour;
  context.fillText(words, left, middle);
}
