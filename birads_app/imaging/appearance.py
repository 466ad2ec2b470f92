"""Appearance of a mammogram: grey, smooth, one large textured region with a skin line against dark, uniform air.

Each property is measured on a copy of at most 256 pixels per side. The comments on the thresholds give the ranges over
1,243 real mammograms (low-energy images of a contrast-enhanced set, digitised film, exports of two detectors) and over
other pictures.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from birads_app.terms.messages import Message, msg

_SIZE = 256  # longer side of the measured copy, in pixels
# Grey levels are stretched so that air is 0 and the brightest tissue is 1, because the base of film is not black.
# At least a fifth of every real mammogram is air.
_AIR_PERCENTILE, _WHITE_PERCENTILE = 5.0, 99.5
_DARK = 0.12  # stretched level below which a pixel may be air
_EDGE, _QUIET = 0.15, 0.02  # gradient of the stretched level per pixel: at an outline, and within air
_TOUCHES = 2  # pixels of the copy from the edge

#                                        real mammograms      other pictures
_ROUGH = 0.12  #                         up to 0.072          text from 0.28, white noise from 0.7
_NOISE = 0.6  #                                               (separates noise from text)
_BACKGROUND = 0.25  #                    up to 0.15           most photographs; white pages 0.9
_AIR = 0.10  #                           from 0.14            landscapes, crops without air: 0 to 0.1
_LARGEST = 0.35  #                       from 0.49            rows of bars and discs up to 0.3
_ENTROPY = 3.05  # bit of 6              from 3.17            drawn discs, steps, silhouettes up to 2.97
_OUTLINE = 0.002  #                      from 0.004           ramps and gradients 0
GREY_BACKGROUND = 0.11  # of plain mammograms: detectors 0; film up to 0.10, except for one scan at 0.15


@dataclass(frozen=True)
class Measurements:
    """Measurements; shares are of the image unless stated otherwise.

    contrast : used range of grey levels, 0..1
    roughness : mean squared difference of neighbours relative to white noise, 0 (smooth) to 1 (noise)
    background : 20th percentile relative to white, 0..1
    air : dark, uniform pixels
    largest : largest bright region, as a share of the pixels that are not air
    entropy : of 64 grey levels within that region, after median filtering, in bits; 0 if it has no interior
    edges : pixels with a strong gradient
    touches : True if that region reaches the edge of the image
    clipped : pixels at full white
    """

    contrast: float
    roughness: float
    background: float
    air: float
    largest: float
    entropy: float
    edges: float
    touches: bool
    clipped: float


def objection(measured: Measurements) -> Message | None:
    """Return the reason why the image cannot be a mammogram; None if it can."""
    if measured.roughness > _NOISE:
        return msg("not-mammogram-noise")
    rules = (
        (measured.roughness > _ROUGH, msg("not-mammogram-fine-lines")),
        (measured.background > _BACKGROUND, msg("not-mammogram-background")),
        (measured.air < _AIR, msg("not-mammogram-air")),
        (measured.edges < _OUTLINE, msg("not-mammogram-edge")),
        (measured.largest < _LARGEST, msg("not-mammogram-regions")),
        (measured.entropy < _ENTROPY, msg("not-mammogram-texture")),
    )
    return next((reason for applies, reason in rules if applies), None)


def is_plain_mammogram(measured: Measurements) -> bool:
    """Return True if there is no objection and the background is dark, unlike that of many negatives."""
    return not objection(measured) and measured.background <= GREY_BACKGROUND


def shrink(pixels: np.ndarray) -> np.ndarray:
    """Return a float32 copy, 0..1, of at most 256 pixels per side; subsamples first, for speed."""
    factor = max(pixels.shape) / _SIZE
    step = max(1, int(factor / 2))
    coarse = np.ascontiguousarray(pixels[::step, ::step])
    if step < factor:
        size = tuple(max(1, round(side * step / factor)) for side in coarse.shape[::-1])
        coarse = cv2.resize(coarse, size, interpolation=cv2.INTER_AREA)
    return coarse.astype(np.float32) / 65535.0


def measure(grey: np.ndarray) -> Measurements:
    """Measure a reduced image, float32 array of shape (height, width), 0..1."""
    darkest, low, fifth, high = np.percentile(grey, (0.5, _AIR_PERCENTILE, 20.0, _WHITE_PERCENTILE))
    level = np.clip((grey - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1)
    across, down = (
        cv2.Sobel(level, cv2.CV_32F, 1, 0, scale=0.25),
        cv2.Sobel(level, cv2.CV_32F, 0, 1, scale=0.25),
    )
    step = cv2.magnitude(across, down)
    dark = cv2.GaussianBlur(level, (5, 5), 0) < _DARK
    region, share = _largest_region(level, dark)
    return Measurements(
        contrast=float(high - darkest),
        roughness=_roughness(level),
        background=float(fifth / max(high, 1e-6)),
        air=float((dark & (step <= _QUIET)).mean()),
        largest=share,
        entropy=_entropy(cv2.medianBlur(level, 5), region),
        edges=float((step > _EDGE).mean()),
        touches=_touches_edge(region),
        clipped=float((grey >= 0.999).mean()),
    )


def _roughness(level: np.ndarray) -> float:
    steps = np.square(np.diff(level, axis=0)).mean() + np.square(np.diff(level, axis=1)).mean()
    return float(steps / max(4.0 * level.var(), 1e-9))


def _largest_region(level: np.ndarray, dark: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the largest connected region that is not air, bool array, and its share of the pixels that are not air."""
    count, labels, sizes, _ = cv2.connectedComponentsWithStats(dark.astype(np.uint8), connectivity=4)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    outside = np.zeros(count, bool)
    outside[edge] = True
    outside[0] = False
    solid = (~outside[labels]).astype(np.uint8)
    opened = cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    count, labels, sizes, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        return np.zeros(level.shape, bool), 0.0
    largest = 1 + int(sizes[1:, cv2.CC_STAT_AREA].argmax())
    return labels == largest, float(sizes[largest, cv2.CC_STAT_AREA] / max(1, int(solid.sum())))


def _entropy(level: np.ndarray, region: np.ndarray) -> float:
    """Return the entropy of the grey levels within a region, away from its rim, in bits."""
    inside = level[cv2.erode(region.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)]
    if inside.size < 50:
        return 0.0
    shares = np.histogram(inside, 64, (0.0, 1.0))[0] / inside.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


def _touches_edge(region: np.ndarray) -> bool:
    inner = region[_TOUCHES:-_TOUCHES, _TOUCHES:-_TOUCHES]
    return bool(region.sum() > inner.sum())
