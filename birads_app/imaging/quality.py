"""Check that an image is a mammogram suitable for the model: reject others with a reason, or return warnings.

The checks catch mistakes; they cannot distinguish a mammogram from another soft-tissue radiograph. The comments on the
thresholds are explained in :mod:`birads_app.imaging.appearance`.
"""

import numpy as np

from birads_app.imaging import photograph
from birads_app.imaging.appearance import (
    GREY_BACKGROUND,
    Measurements,
    is_plain_mammogram,
    measure,
    objection,
    shrink,
)
from birads_app.imaging.decode import Mammogram
from birads_app.terms.errors import NotAMammogram
from birads_app.terms.messages import Message, msg

# Rejected.                              real mammograms      other pictures
_SMALLEST_SIDE = 100  # px               from 131             icons, 1 x 1
_STRIP = 10.0  # longer over shorter     up to 3.1            scan lines, rulers
_MAX_SATURATION = 0.08  #                     0                    colour photographs from 0.18
_CONTRAST = 0.03  #                      from 0.42            constant pictures up to 0.01
_FEW_LEVELS = 16  #                       from 126             masks, drawings, posterised copies

# Warnings.
_FEW_PIXELS = 800  # px, longer side: calcifications are lost
_TINTED = 0.003
_LOW_CONTRAST = 0.35  # of the grey scale
_CLIPPED = 0.02  # share of the image at full white
_LONG = 3.2  # longer over shorter side


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
    grey = shrink(mammogram.pixels)
    measured = measure(grey)
    if measured.contrast < _CONTRAST:
        raise NotAMammogram(msg("image-blank"))
    reason = objection(measured)
    inverted = reason is not None and is_plain_mammogram(measure(1.0 - grey))
    if reason and not inverted:
        raise NotAMammogram(reason)
    if (levels := _levels(mammogram.pixels)) < _FEW_LEVELS:
        raise NotAMammogram(msg("image-few-levels", levels=levels))
    warnings = _warnings(mammogram, measured, inverted)
    if mammogram.camera is False:
        return warnings
    photographed = photograph.warning(mammogram.pixels, grey, bool(mammogram.camera))
    return (photographed, *warnings) if photographed else warnings


def _levels(pixels: np.ndarray) -> int:
    """Return the number of different grey levels in a sample of about 100,000 pixels."""
    step = max(1, int((pixels.size / 100_000) ** 0.5))
    return int(np.count_nonzero(np.bincount(pixels[::step, ::step].ravel())))


def _warnings(mammogram: Mammogram, measured: Measurements, inverted: bool) -> tuple[Message, ...]:
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
            not inverted and measured.background > GREY_BACKGROUND,
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
