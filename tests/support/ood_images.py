"""Out-of-distribution test images: altered mammograms, and drawings of other body parts.

They test the OOD detector (:mod:`training.evaluation.ood_fit`). The drawings are rough: bone is bright, air is dark and
tissue has grain, enough to pass :mod:`birads_app.imaging.quality`.
"""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

_SIDE = 448  # of a drawing, in pixels
_ROWS, _COLUMNS = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32) / _SIDE
# Joints of a finger, from the palm on, as shares of its length.
_JOINTS = (0.0, 0.42, 0.72, 1.0)


def negative(pixels: np.ndarray) -> np.ndarray:
    """Invert the grey levels of uint16 pixels."""
    return np.iinfo(np.uint16).max - pixels


def upside_down(pixels: np.ndarray) -> np.ndarray:
    """Rotate by 180 degrees."""
    return np.ascontiguousarray(pixels[::-1, ::-1])


def middle(pixels: np.ndarray) -> np.ndarray:
    """Crop to the central half of height and width, as a careless crop would."""
    height, width = pixels.shape
    return np.ascontiguousarray(pixels[height // 4 : height - height // 4, width // 4 : width - width // 4])


def head(random: np.random.Generator) -> np.ndarray:
    """Draw an axial slice of a head: a bright ring of bone around folded tissue with dark ventricles."""
    x, y = _centred(random, 0.03)
    height, width = random.uniform(0.36, 0.42), random.uniform(0.28, 0.34)
    depth = 1 - np.hypot(y / height, x / width)
    folds = np.sin(random.uniform(25, 40) * depth + 9 * _grain(random, 18))
    tissue = 0.42 + 0.05 * folds + 0.08 * _grain(random, 4)
    for sign in (-1, 1):
        ventricle = np.hypot(y / 0.13, (x - sign * random.uniform(0.03, 0.06)) / 0.03)
        tissue = np.where(ventricle < 1, 0.2, tissue)
    bone = (depth > 0) & (depth < random.uniform(0.08, 0.14))
    return _with_noise(np.where(bone, 0.95, np.where(depth > 0, tissue, 0.01)), random)


def hand(random: np.random.Generator) -> np.ndarray:
    """Draw a hand: palm, and five fingers with their bones."""
    flesh, bones = np.zeros((2, _SIDE, _SIDE), np.float32)
    palm = np.array([random.uniform(0.46, 0.54), random.uniform(0.66, 0.72)])
    cv2.ellipse(flesh, _pixels(palm), (int(0.17 * _SIDE), int(0.2 * _SIDE)), 0, 0, 360, 1.0, -1)
    cv2.line(flesh, _pixels(palm), _pixels(palm + (0, 0.4)), 1.0, int(0.2 * _SIDE))
    for angle in np.radians(np.linspace(-62, 28, 5) + random.normal(0, 3, 5)):
        along = np.array([np.sin(angle), -np.cos(angle)])
        _finger(flesh, bones, palm + 0.17 * along, along * random.uniform(0.2, 0.28))
        cv2.line(bones, _pixels(palm + 0.02 * along), _pixels(palm + 0.16 * along), 1.0, int(0.026 * _SIDE))
    soft, hard = cv2.GaussianBlur(flesh, (0, 0), 3), cv2.GaussianBlur(bones, (0, 0), 1.5)
    grain = 1 + 0.15 * _grain(random, 5)
    return _with_noise(0.01 + (0.3 * soft + 0.5 * hard) * grain, random)


def chest(random: np.random.Generator) -> np.ndarray:
    """Draw a chest: dark lungs with ribs, a bright mediastinum, and dark air around the body."""
    x, y = _centred(random, 0.02)
    body = np.clip((1 - np.hypot(y / 0.62, x / random.uniform(0.38, 0.44)) ** 4) * 4, 0, 1)
    picture = (0.62 + 0.1 * _grain(random, 12)) * body
    lungs = np.zeros_like(x)
    for sign in (-1, 1):
        lungs += np.hypot((y + 0.05) / random.uniform(0.26, 0.32), (x - sign * 0.17) / 0.12) < 1
    ribs = np.sin(random.uniform(45, 60) * (y + 0.9 * np.abs(x) ** 1.5)) > 0.45
    lungs = cv2.GaussianBlur(np.minimum(lungs, 1).astype(np.float32), (0, 0), 4)
    picture *= 1 - lungs * (0.75 - 0.25 * ribs)
    return _with_noise(picture + 0.01, random)


ALTERED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "negatives": negative,
    "rotated by 180 degrees": upside_down,
    "cropped to the centre": middle,
}
DRAWN: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "drawn heads": head,
    "drawn hands": hand,
    "drawn chests": chest,
}


def drawings(
    draw: Callable[[np.random.Generator], np.ndarray], count: int, seed: int
) -> Iterator[np.ndarray]:
    """Draw ``count`` images, uint16 (height, width), that differ in shape and grain."""
    random = np.random.default_rng(seed)
    return (draw(random) for _ in range(count))


def _centred(random: np.random.Generator, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates x and y relative to a random point near the centre, as shares of the side."""
    x, y = random.uniform(0.5 - spread, 0.5 + spread, 2)
    return _COLUMNS - np.float32(x), _ROWS - np.float32(y)


def _finger(flesh: np.ndarray, bones: np.ndarray, root: np.ndarray, along: np.ndarray) -> None:
    """Draw a finger from its root to its tip, with gaps between its bones."""
    cv2.line(flesh, _pixels(root), _pixels(root + along), 1.0, int(0.07 * _SIDE))
    for first, last in zip(_JOINTS, _JOINTS[1:], strict=False):
        start, end = root + along * (first + 0.03), root + along * (last - 0.03)
        cv2.line(bones, _pixels(start), _pixels(end), 1.0, int(0.024 * _SIDE))


def _pixels(point: np.ndarray) -> tuple[int, int]:
    """Convert a point (x, y) from shares of the side to pixels."""
    x, y = (np.asarray(point) * _SIDE).astype(int).tolist()
    return x, y


def _grain(random: np.random.Generator, size: float) -> np.ndarray:
    """Return smooth noise with standard deviation 1 and spots of about ``size`` pixels."""
    noise = cv2.GaussianBlur(random.normal(size=(_SIDE, _SIDE)).astype(np.float32), (0, 0), size)
    return np.asarray(noise / noise.std())


def _with_noise(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Add the detector's noise to levels 0..1, and convert to uint16."""
    noisy = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1) + random.normal(0, 0.006, picture.shape)
    return np.rint(np.clip(noisy, 0, 1) * 65535).astype(np.uint16)
