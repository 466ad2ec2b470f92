"""Check that an image is a mammogram suitable for the model: reject others with a reason, or return warnings.

A mammogram is grey, smooth at the scale of the image, and shows one large, textured, bright region with a skin line
against dark, uniform air. Each property is measured on a copy of at most 256 pixels per side. The comments on the
thresholds give the ranges over 1,243 real mammograms (low-energy images of a contrast-enhanced set, digitised film,
exports of two detectors) and over other pictures. The checks catch mistakes; they cannot distinguish a mammogram from
another soft-tissue radiograph.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from birads_app.imaging.decode import Mammogram
from birads_app.terms.errors import NotAMammogram
from birads_app.terms.messages import Message, msg

_SIZE = 256  # longer side of the measured copy, in pixels
# Grey levels are stretched so that air is 0 and the brightest tissue is 1, because the base of film is not black.
# At least a fifth of every real mammogram is air.
_AIR_PERCENTILE, _WHITE_PERCENTILE = 5.0, 99.5
_DARK = 0.12  # stretched level below which a pixel may be air
_EDGE, _QUIET = 0.15, 0.02  # gradient of the stretched level per pixel: at an outline, and within air
_TOUCHES = 2  # pixels of the copy from the edge

# Rejected.                              real mammograms      other pictures
_SMALLEST_SIDE = 100  # px               from 131             icons, 1 x 1
_STRIP = 10.0  # longer over shorter     up to 3.1            scan lines, rulers
_MAX_SATURATION = 0.08  #                     0                    colour photographs from 0.18
_CONTRAST = 0.03  #                      from 0.42            constant pictures up to 0.01
_ROUGH = 0.12  #                         up to 0.072          text from 0.28, white noise from 0.7
_NOISE = 0.6  #                                               (separates noise from text)
_BACKGROUND = 0.25  #                    up to 0.15           most photographs; white pages 0.9
_AIR = 0.10  #                           from 0.14            landscapes, crops without air: 0 to 0.1
_LARGEST = 0.35  #                       from 0.49            rows of bars and discs up to 0.3
_ENTROPY = 3.05  # bit of 6              from 3.17            drawn discs, steps, silhouettes up to 2.97
_OUTLINE = 0.002  #                      from 0.004           ramps and gradients 0

# Warnings.
_FEW_PIXELS = 800  # px, longer side: calcifications are lost
_TINTED = 0.003
_LOW_CONTRAST = 0.35  # of the grey scale
_GREY_BACKGROUND = 0.11  # detectors 0; film up to 0.10, except for one scan at 0.15
_CLIPPED = 0.02  # share of the image at full white
_LONG = 3.2  # longer over shorter side


@dataclass(frozen=True)
class _Measurements:
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


def check(mammogram: Mammogram) -> tuple[Message, ...]:
    """Check that an image is suitable for the model.

    Returns
    -------
    Warnings; empty if there are none.

    Raises
    ------
    NotAMammogram
        The image is unsuitable; the message gives the reason and a remedy.
    """
    height, width = mammogram.pixels.shape
    if min(height, width) < _SMALLEST_SIDE:
        raise NotAMammogram(
            msg(
                "image-too-small",
                width=width,
                height=height,
                needed=_SMALLEST_SIDE,
            )
        )
    if max(height, width) > _STRIP * min(height, width):
        raise NotAMammogram(
            msg(
                "image-too-narrow",
                width=width,
                height=height,
            )
        )
    if mammogram.saturation > _MAX_SATURATION:
        raise NotAMammogram(msg("image-in-colour"))
    grey = _shrink(mammogram.pixels)
    measured = _measure(grey)
    if measured.contrast < _CONTRAST:
        raise NotAMammogram(msg("image-blank"))
    reason = _objection(measured)
    inverted = reason is not None and _is_plain_mammogram(_measure(1.0 - grey))
    if reason and not inverted:
        raise NotAMammogram(reason)
    return _warnings(mammogram, measured, inverted)


def _objection(measured: _Measurements) -> Message | None:
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


def _is_plain_mammogram(measured: _Measurements) -> bool:
    """Return True if there is no objection and the background is dark, unlike that of many negatives."""
    return not _objection(measured) and measured.background <= _GREY_BACKGROUND


def _warnings(mammogram: Mammogram, measured: _Measurements, inverted: bool) -> tuple[Message, ...]:
    height, width = mammogram.pixels.shape
    rules = (
        (
            inverted,
            msg("image-inverted"),
        ),
        (
            max(height, width) < _FEW_PIXELS,
            msg(
                "low-resolution",
                width=width,
                height=height,
            ),
        ),
        (
            mammogram.saturation > _TINTED,
            msg("coloured-marks"),
        ),
        (
            measured.contrast < _LOW_CONTRAST,
            msg("low-contrast"),
        ),
        (
            not inverted and measured.background > _GREY_BACKGROUND,
            msg("bright-background"),
        ),
        (measured.clipped > _CLIPPED, msg("saturated")),
        (
            not inverted and not measured.touches,
            msg("breast-not-at-edge"),
        ),
        (max(height, width) > _LONG * min(height, width), msg("unusual-shape")),
    )
    return tuple(message for applies, message in rules if applies)


def _shrink(pixels: np.ndarray) -> np.ndarray:
    """Return a float32 copy, 0..1, of at most 256 pixels per side; subsamples first, for speed."""
    factor = max(pixels.shape) / _SIZE
    step = max(1, int(factor / 2))
    coarse = np.ascontiguousarray(pixels[::step, ::step])
    if step < factor:
        size = tuple(max(1, round(side * step / factor)) for side in coarse.shape[::-1])
        coarse = cv2.resize(coarse, size, interpolation=cv2.INTER_AREA)
    return coarse.astype(np.float32) / 65535.0


def _measure(grey: np.ndarray) -> _Measurements:
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
    return _Measurements(
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
