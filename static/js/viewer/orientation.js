// Orientation of an image on the screen, as pure functions. {turns, flipped}: mirrored left to right first if flipped,
// then turned clockwise by so many quarters. Points are [x, y]; images are {width, height} as stored.

export const AS_STORED = { turns: 0, flipped: false };

export const isSame = (one, other) => one.turns === other.turns && one.flipped === other.flipped;

export const turned = ({ turns, flipped }) => ({ turns: (turns + 1) % 4, flipped });

// Mirror left to right, as it is shown.
export const mirrored = ({ turns, flipped }) => ({ turns: (4 - turns) % 4, flipped: !flipped });

export const shownSize = ({ turns }, { width, height }) =>
  turns % 2 ? { width: height, height: width } : { width, height };

// Convert a point of the stored image to the shown one.
export function toShown({ turns, flipped }, { width, height }, [storedX, y]) {
  const x = flipped ? width - storedX : storedX;
  return [
    [x, y],
    [height - y, x],
    [width - x, height - y],
    [y, width - x],
  ][turns];
}

// Convert a point of the shown image to the stored one.
export function toStored({ turns, flipped }, { width, height }, [shownX, shownY]) {
  const [x, y] = [
    [shownX, shownY],
    [shownY, height - shownX],
    [width - shownX, height - shownY],
    [width - shownY, shownX],
  ][turns];
  return [flipped ? width - x : x, y];
}

// Linear part of the transformation, as the first four values of a canvas or CSS matrix.
export function matrix(orientation) {
  const nowhere = { width: 0, height: 0 };
  return [...toShown(orientation, nowhere, [1, 0]), ...toShown(orientation, nowhere, [0, 1])];
}

// Rectangle {left, top, width, height} of the stored image, as shown.
export function shownBox(orientation, image, { left, top, width, height }) {
  const [one, other] = [
    toShown(orientation, image, [left, top]),
    toShown(orientation, image, [left + width, top + height]),
  ];
  return {
    left: Math.min(one[0], other[0]),
    top: Math.min(one[1], other[1]),
    width: Math.abs(one[0] - other[0]),
    height: Math.abs(one[1] - other[1]),
  };
}
