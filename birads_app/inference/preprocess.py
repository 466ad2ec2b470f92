"""Mammogram -> model input: find the breast, crop, turn, pad to a square, resize, standardise.

Every step is recorded in :class:`ModelInput`, so that a map over the input can be laid back over the
image. :data:`VERSION` changes whenever the same file would give other numbers; bundles and feature
caches carry it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from birads_app.inference.decode import Mammogram

VERSION = 1

# Working width of the search for the breast, in pixels: enough to see the outline, fast at any size.
_SEARCH_SIZE = 256
# ImageNet mean per channel in BGR order, subtracted without scaling: what Keras calls VGG16's (and
# ResNet50's) preprocessing, which the paper uses.
_IMAGENET_MEAN_BGR = np.array([103.939, 116.779, 123.68], np.float32)
# Brightness is stretched between these percentiles of the crop, so that windows and film densities agree.
_LOW_PERCENTILE, _HIGH_PERCENTILE = 1.0, 99.7


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the original image; it may reach outside of it where it is a padded square."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class ModelInput:
    """What the backbone sees of one image.

    tensor : float32 array of shape (size, size, 3), BGR, ImageNet mean subtracted
    box : the square of the original image that the tensor covers
    flipped : True where the image was mirrored so that the chest wall is on the left
    """

    tensor: np.ndarray
    box: Box
    flipped: bool


def find_breast(pixels: np.ndarray) -> Box:
    """Find the largest bright region that is not a thin label or a frame, and give its bounding box.

    Parameters
    ----------
    pixels : uint16 array of shape (height, width), air dark

    Returns
    -------
    Box inside the image; the whole image where nothing stands out from the background.
    """
    height, width = pixels.shape
    factor = max(height, width) / _SEARCH_SIZE
    small = _shrink(pixels, factor)
    mask = _breast_mask(small)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return Box(0, 0, height, width)
    scale_y, scale_x = height / small.shape[0], width / small.shape[1]
    top, left = int(rows[0] * scale_y), int(columns[0] * scale_x)
    bottom = min(height, int(np.ceil((rows[-1] + 1) * scale_y)))
    right = min(width, int(np.ceil((columns[-1] + 1) * scale_x)))
    return Box(top, left, bottom - top, right - left)


def prepare(mammogram: Mammogram, size: int) -> ModelInput:
    """Turn a mammogram into the backbone's input.

    Parameters
    ----------
    mammogram : as :func:`birads_app.inference.decode.decode` gives it
    size : side of the square input in pixels, as the bundle says
    """
    breast = find_breast(mammogram.pixels)
    crop = mammogram.pixels[breast.top : breast.top + breast.height, breast.left : breast.left + breast.width]
    scale = size / max(crop.shape)
    shape = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    shrunk = cv2.resize(crop, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    grey = _stretch(shrunk)
    flipped = _chest_wall_right(grey)
    if flipped:
        grey = grey[:, ::-1]
    square = np.zeros((size, size), np.float32)
    square[: grey.shape[0], : grey.shape[1]] = grey
    tensor = square[:, :, None] - _IMAGENET_MEAN_BGR
    return ModelInput(tensor, _square(breast, flipped), flipped)


def _square(breast: Box, flipped: bool) -> Box:
    """The square that the padded input covers: padding goes below and away from the chest wall."""
    side = max(breast.height, breast.width)
    left = breast.left + breast.width - side if flipped else breast.left
    return Box(breast.top, left, side, side)


def _shrink(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Reduce to the search size as uint8; rows and columns are skipped first, since outlines need no averaging."""
    step = max(1, int(factor / 2))
    coarse = pixels[::step, ::step]
    ratio = step / factor
    if ratio < 1:
        size = (max(1, round(coarse.shape[1] * ratio)), max(1, round(coarse.shape[0] * ratio)))
        coarse = cv2.resize(coarse, size, interpolation=cv2.INTER_AREA)
    return (coarse >> 8).astype(np.uint8)


def _breast_mask(small: np.ndarray) -> np.ndarray:
    """Boolean mask of the breast in a uint8 picture at search size."""
    blurred = cv2.GaussianBlur(small, (5, 5), 0)
    threshold = _background_threshold(blurred)
    mask = (blurred > threshold).astype(np.uint8)
    # Cut what hangs on by a thread: film labels that touch the breast, scratches, a bright film edge.
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return np.zeros(small.shape, bool)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.asarray(labels == largest)


def _background_threshold(blurred: np.ndarray) -> float:
    """Grey level that parts air from tissue.

    Otsu's threshold (N. Otsu, IEEE Trans. SMC 9, 1979) parts dense from fatty tissue as gladly as tissue
    from air; applied once more to what lies below it, it finds the skin line. Never above a tenth of the
    range over the darkest level, so that a fatty breast stays whole.
    """
    first, _ = cv2.threshold(blurred, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    below = blurred[blurred <= first]
    if below.size < 2 or below.min() == below.max():
        return float(first)
    second, _ = cv2.threshold(below.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    low, high = float(np.percentile(blurred, 1)), float(np.percentile(blurred, 99))
    return min(float(second), low + 0.1 * (high - low))


def _stretch(crop: np.ndarray) -> np.ndarray:
    """Percentile stretch to float32 0..255; a flat crop stays as it is."""
    low, high = np.percentile(crop, (_LOW_PERCENTILE, _HIGH_PERCENTILE))
    if high <= low:
        return crop.astype(np.float32) / 257.0
    return np.clip((crop.astype(np.float32) - low) * (255.0 / (high - low)), 0, 255)


def _chest_wall_right(grey: np.ndarray) -> bool:
    """True where more tissue lies along the right edge than along the left one."""
    margin = max(1, grey.shape[1] // 10)
    return float(grey[:, -margin:].mean()) > float(grey[:, :margin].mean())
