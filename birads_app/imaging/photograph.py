"""Signs that a picture is a photograph of a film or of a screen, taken by a phone.

Detectors, scanners and exports leave none of them: a frame that is seen at an angle, the beat of a screen's pixels
with those of the camera (moiré), and what cameras write about an exposure. A photograph without any of them is not
recognised: a reflection alone looks like dense tissue.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import cv2
import numpy as np
from PIL import Image

from birads_app.terms.messages import Message, join, msg

# Tags of EXIF about an exposure: aperture, time, sensitivity, focal length. Scanners write make and model, too.
_EXPOSURE = (0x829D, 0x829A, 0x8827, 0x920A)
_EXIF = 0x8769

# Sides of a frame, on a copy of at most 256 pixels per side.
_SHORTEST = 0.04  # of the picture's length, of a piece of a side
_APART = 1.5  # px, between pieces of one side
_SLOPE = 0.05  # difference of their slopes
_STEEPEST = 0.36  # slope of a side against the picture's edge: 20°
_SUPPORT = 0.45  # of the picture's length, that the pieces of a side cover
_FROM_MIDDLE = (0.4, 0.97)  # of the way to the picture's edge: the edges of scanned films lie farther out
_SEEDS = 12
_CONVERGENCE, _TURN = 0.6, 2.0  # degrees: between opposite sides, and of each side

# Moiré, in the spectrum of a window in the middle of the picture; natural logarithms of the power.
_WINDOW = 256
_COARSEST, _FINEST = 0.06, 0.48  # cycles per pixel
_AXES = 0.016  # cycles per pixel: lines of grids and scanners run along the edges
_JPEG = 8  # pixels of a block
_PEAK = 5.0  #                         up to 3.3            from 6.9
_RAY = 3.5  # over its ray: the spectrum of an edge is a ray, that of a beat a point


@dataclass(frozen=True)
class _Side:
    """A straight line along the picture: v = offset + slope * u, both measured from the middle, in pixels."""

    slope: float
    offset: float

    @property
    def angle(self) -> float:
        """Angle against the picture's edge in degrees."""
        return float(np.degrees(np.arctan(self.slope)))


def has_exposure(image: Image.Image) -> bool:
    """Return True if a file states how a camera exposed it; damaged metadata state nothing."""
    try:
        stated = image.getexif().get_ifd(_EXIF)
    except Exception:  # any error of the parser
        return False
    return any(tag in stated for tag in _EXPOSURE)


def warning(pixels: np.ndarray, grey: np.ndarray, exposed: bool) -> Message | None:
    """Return a warning that names the signs in a picture; None if it has none.

    Parameters
    ----------
    pixels : uint16 array of shape (height, width)
    grey : the copy of it that :func:`birads_app.imaging.appearance.shrink` returns
    exposed : True if the file has a camera's exposure
    """
    found = (
        (exposed, msg("photograph-camera")),
        (has_frame(grey), msg("photograph-frame")),
        (beat(pixels) > _PEAK, msg("photograph-moire")),
    )
    signs = [sign for applies, sign in found if applies]
    return msg("photograph-suspected", signs=join(signs, commas=True)) if signs else None


def has_frame(grey: np.ndarray) -> bool:
    """Return True if straight sides around the middle of a small copy are not parallel, or all are turned.

    Margins and padding run along the picture's edges, and a film in a scanner is turned by little.
    """
    low, high = np.percentile(grey, (1.0, 99.5))
    # The root shows the black of a screen before a dark room.
    level = np.sqrt(np.clip((grey - low) / max(high - low, 1e-6), 0, 1))
    pairs = []
    for ends, length, breadth in _pieces((level * 255).astype(np.uint8)):
        pair = _opposite(_joined(ends, length, breadth))
        if pair is None:
            return False
        pairs.append(pair)
    apart = max(abs(one.angle - other.angle) for one, other in pairs)
    return apart > _CONVERGENCE or min(abs(side.angle) for pair in pairs for side in pair) > _TURN


def _opposite(sides: Sequence[_Side]) -> tuple[_Side, _Side] | None:
    """Return the outermost two of the lines on either side of the middle; none if one is missing."""
    before = [side for side in sides if side.offset < 0]
    behind = [side for side in sides if side.offset > 0]
    if not before or not behind:
        return None
    return min(before, key=lambda side: side.offset), max(behind, key=lambda side: side.offset)


def _pieces(level: np.ndarray) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yield the straight pieces (u, v, u, v) of a uint8 picture, with its length along u and its breadth along v.

    At first u is along the width, then along the height.
    """
    detector = cv2.createLineSegmentDetector(cv2.LSD_REFINE_NONE)
    found = cast("np.ndarray | None", detector.detect(level)[0])
    found = np.empty((0, 4)) if found is None else found
    height, width = level.shape
    ends = found.reshape(-1, 4).astype(np.float64) - (width / 2, height / 2, width / 2, height / 2)
    yield ends, width, height
    yield ends[:, [1, 0, 3, 2]], height, width


def _joined(ends: np.ndarray, length: int, breadth: int) -> list[_Side]:
    """Join pieces (u, v, u, v) that lie on one line along u; return the lines that are long enough."""
    steps = ends[:, 2:] - ends[:, :2]
    along = np.abs(steps[:, 1]) <= _STEEPEST * np.abs(steps[:, 0])
    pieces = ends[along & (np.abs(steps[:, 0]) >= _SHORTEST * length)]
    lengths = np.abs(pieces[:, 2] - pieces[:, 0])
    if lengths.sum() < _SUPPORT * length:  # no line is long enough
        return []
    pieces = pieces[np.argsort(-lengths)]
    free = np.ones(len(pieces), bool)
    sides = []
    for seed in range(min(_SEEDS, len(pieces))):
        if not free[seed]:
            continue
        slope, offset = _line(pieces[seed : seed + 1])
        for _ in range(2):
            on_it = free & _lies_on(pieces, slope, offset)
            on_it[seed] = True
            slope, offset = _line(pieces[on_it])
        nearest, farthest = _FROM_MIDDLE
        if _covered(pieces[on_it]) >= _SUPPORT * length and nearest < 2 * abs(offset) / breadth < farthest:
            sides.append(_Side(slope, offset))
        free &= ~on_it
    return sides


def _line(pieces: np.ndarray) -> tuple[float, float]:
    """Return slope and offset of the line through the ends of pieces, longer ones counting more."""
    weights = np.repeat(np.abs(pieces[:, 2] - pieces[:, 0]), 2)
    u, v = pieces[:, [0, 2]].ravel(), pieces[:, [1, 3]].ravel()
    middle_u, middle_v = np.average(u, weights=weights), np.average(v, weights=weights)
    slope = float((weights * (u - middle_u) * (v - middle_v)).sum() / (weights * (u - middle_u) ** 2).sum())
    return slope, float(middle_v - slope * middle_u)


def _lies_on(pieces: np.ndarray, slope: float, offset: float) -> np.ndarray:
    """Return which pieces lie on a line."""
    away = np.abs(pieces[:, [1, 3]] - offset - slope * pieces[:, [0, 2]]).max(axis=1)
    own = (pieces[:, 3] - pieces[:, 1]) / (pieces[:, 2] - pieces[:, 0])
    return (away <= _APART) & (np.abs(own - slope) <= _SLOPE)


def _covered(pieces: np.ndarray) -> float:
    """Return the length along u that pieces cover together."""
    covered, end = 0.0, -np.inf
    for start, stop in sorted((min(a, b), max(a, b)) for a, b in pieces[:, [0, 2]]):
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return covered


def beat(pixels: np.ndarray) -> float:
    """Return how far an oblique, isolated peak of the spectrum exceeds its surroundings, as a logarithm, or 0."""
    height, width = pixels.shape
    if min(height, width) < _WINDOW:
        return 0.0
    top, left = (height - _WINDOW) // 2, (width - _WINDOW) // 2
    power = _log_power(pixels[top : top + _WINDOW, left : left + _WINDOW].astype(np.float32))
    peaks = np.where(_oblique(), power - cv2.blur(power, (17, 17)), 0)
    best = 0.0
    for place in np.argpartition(peaks, -8, axis=None)[-8:]:
        row, column = (int(index) for index in np.unravel_index(place, peaks.shape))
        if power[row, column] - _on_ray(power, row, column) > _RAY:
            best = max(best, float(peaks[row, column]))
    return best


def _log_power(window: np.ndarray) -> np.ndarray:
    """Return the logarithm of a window's power spectrum, frequencies of rows from -0.5 to 0.5, of columns from 0."""
    taper = np.hanning(_WINDOW).astype(np.float32)
    spectrum = np.fft.rfft2((window - window.mean()) * taper[:, None] * taper)
    return np.asarray(np.log(np.fft.fftshift(np.abs(spectrum) ** 2, axes=0) + 1e-3), np.float32)


@cache
def _oblique() -> np.ndarray:
    """Return which frequencies count: not too low, not along the edges, and none of the blocks of JPEG."""
    x, y = np.meshgrid(np.fft.rfftfreq(_WINDOW), np.fft.fftshift(np.fft.fftfreq(_WINDOW)))
    lower, higher = np.minimum(x, np.abs(y)), np.maximum(x, np.abs(y))
    of_blocks = [np.abs(one * _JPEG - np.round(one * _JPEG)) < 0.1 for one in (x, y)]
    return (
        (np.hypot(x, y) > _COARSEST) & (lower > _AXES) & (higher < _FINEST) & ~(of_blocks[0] & of_blocks[1])
    )


def _on_ray(power: np.ndarray, row: int, column: int) -> float:
    """Return the mean before and behind a point on the ray from the frequency 0."""
    step = np.array([row - _WINDOW // 2, column], float)
    step /= np.hypot(*step)
    places = [np.round((row, column) + step * far).astype(int) for far in (-9, -7, -5, 5, 7, 9)]
    rows, columns = power.shape
    return float(np.mean([power[r, c] for r, c in places if 0 <= r < rows and 0 <= c < columns]))
