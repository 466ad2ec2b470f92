"""Resampling to square pixels, so that images are shown, predicted and measured in their true shape.

The finer direction is kept, the coarser one is enlarged.
"""

import cv2
import numpy as np

from birads_app.imaging.limits import check_squared

_SEEN = 0.02  # invisible deviation of a pixel's aspect ratio from 1
# Detectors and film scanners produce pixels that are square or nearly so: a header with a larger ratio is wrong, and
# a forged one must not enlarge an image without limit.
_MOST = 4.0


def is_plausible(aspect: float) -> bool:
    """Return True if an aspect ratio, height over width of a pixel, is plausible for a mammogram."""
    return 1 / _MOST <= aspect <= _MOST


def enlargement(aspect: float) -> tuple[float, float]:
    """Return the factors of (rows, columns) that make the pixels square.

    Parameters
    ----------
    aspect : height of a pixel over its width

    Returns
    -------
    (1, 1) if they are visibly square already, or if the aspect ratio is implausible
    """
    if not is_plausible(aspect) or abs(aspect - 1) <= _SEEN:
        return 1.0, 1.0
    return max(1.0, aspect), max(1.0, 1 / aspect)


def square(pixels: np.ndarray, aspect: float) -> np.ndarray:
    """Resample an image to square pixels; returns the same array if :func:`enlargement` is (1, 1).

    Interpolation is linear, because cubic or Lanczos interpolation would cause dark rims around calcifications and
    along the skin. Apply it to presentation values, in which padding is black; stored values may not be monotonic.

    Parameters
    ----------
    pixels : array of shape (rows, columns), uint8, uint16, int16, float32 or float64
    aspect : height of a pixel over its width

    Raises
    ------
    ImageTooLarge
        The enlarged image would exceed the pixel limit.
    """
    (rows, columns), (tall, wide) = pixels.shape, enlargement(aspect)
    if tall == wide:
        return pixels
    height, width = round(rows * tall), round(columns * wide)
    check_squared(width, height)
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR))
