"""Resampling to square pixels, so that images are shown, predicted and measured in their true shape.

The finer direction stays as it is, the coarser one is enlarged.
"""

import cv2
import numpy as np

from birads_app.imaging.limits import check_squared

_SEEN = 0.02  # deviation of a pixel's height over its width that nobody sees
# Detectors and film scanners make pixels that are square or nearly so: a header with more than this is wrong, and
# a forged one must not blow a picture up.
_MOST = 4.0


def is_plausible(aspect: float) -> bool:
    """Tell whether a mammogram's pixels can be so many times as high as wide."""
    return 1 / _MOST <= aspect <= _MOST


def enlargement(aspect: float) -> tuple[float, float]:
    """Return the factors of (rows, columns) that make the pixels square.

    Parameters
    ----------
    aspect : height of a pixel over its width

    Returns
    -------
    (1, 1) where they are square, as far as can be seen, or where no mammogram has such pixels
    """
    if not is_plausible(aspect) or abs(aspect - 1) <= _SEEN:
        return 1.0, 1.0
    return max(1.0, aspect), max(1.0, 1 / aspect)


def square(pixels: np.ndarray, aspect: float) -> np.ndarray:
    """Bring an image to square pixels; the same array where :func:`enlargement` is none.

    Linear between neighbours: cubic or Lanczos interpolation would draw dark rims around calcifications and along
    the skin. Best done to presentation values: padding is only black there, and stored words may not be in order.

    Parameters
    ----------
    pixels : array of shape (rows, columns), uint8, uint16, int16, float32 or float64
    aspect : height of a pixel over its width

    Raises
    ------
    ImageTooLarge
        The enlarged image would have more pixels than are read.
    """
    (rows, columns), (tall, wide) = pixels.shape, enlargement(aspect)
    if tall == wide:
        return pixels
    height, width = round(rows * tall), round(columns * wide)
    check_squared(width, height)
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR))
