"""Mammogram -> model input: find the breast, crop, turn, pad to a square, resize, standardise.

Every step is recorded in :class:`ModelInput`, so that a map over the input can be laid back over the
image. :data:`VERSION` changes whenever the same file would give other numbers; bundles and feature
caches carry it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from birads_app.imaging.decode import Mammogram
from birads_app.imaging.segmentation import Box, chest_wall_right, outline

VERSION = 1

# ImageNet mean per channel in BGR order, subtracted without scaling: what Keras calls VGG16's (and
# ResNet50's) preprocessing, which the paper uses.
_IMAGENET_MEAN_BGR = np.array([103.939, 116.779, 123.68], np.float32)
# Brightness is stretched between these percentiles of the crop, so that windows and film densities agree.
_LOW_PERCENTILE, _HIGH_PERCENTILE = 1.0, 99.7


@dataclass(frozen=True)
class ModelInput:
    """What the backbone sees of one image.

    grey : uint8 array of shape (size, size), the breast stretched to 0..255, black around it
    inside : bool array of shape (size, size), True where the breast is
    box : the square of the original image that ``grey`` covers
    flipped : True where the image was mirrored so that the chest wall is on the left
    """

    grey: np.ndarray
    inside: np.ndarray
    box: Box
    flipped: bool

    @property
    def tensor(self) -> np.ndarray:
        """Standardised input, float32 array of shape (size, size, 3)."""
        return standardise(self.grey)


def prepare(mammogram: Mammogram, size: int) -> ModelInput:
    """Turn a mammogram into the backbone's input.

    Parameters
    ----------
    mammogram : as :func:`birads_app.imaging.decode.decode` gives it
    size : side of the square input in pixels, as the bundle says
    """
    breast, mask = outline(mammogram.pixels)
    crop = mammogram.pixels[breast.top : breast.top + breast.height, breast.left : breast.left + breast.width]
    scale = size / max(crop.shape)
    shape = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    shrunk = cv2.resize(crop, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    inside = cv2.resize(mask, shape, interpolation=cv2.INTER_LINEAR)
    grey = _stretch(shrunk, inside > 0) * inside
    flipped = chest_wall_right(inside)
    if flipped:
        grey, inside = grey[:, ::-1], inside[:, ::-1]
    padding = ((0, size - grey.shape[0]), (0, size - grey.shape[1]))
    return ModelInput(
        grey=np.pad(np.rint(grey).astype(np.uint8), padding),
        inside=np.pad(inside > 0, padding),
        box=_square(breast, flipped),
        flipped=flipped,
    )


def standardise(grey: np.ndarray) -> np.ndarray:
    """VGG16's standardisation, as the paper has it.

    Gives three BGR channels less the ImageNet mean, float32 (..., 3), from grey levels 0..255 of shape (...).
    """
    grey = np.asarray(grey, np.float32)
    channels = np.empty((*grey.shape, 3), np.float32)
    for channel, mean in enumerate(_IMAGENET_MEAN_BGR):  # one broadcast subtraction takes five times as long
        np.subtract(grey, mean, out=channels[..., channel])
    return channels


def _square(breast: Box, flipped: bool) -> Box:
    """The square that the padded input covers: padding goes below and away from the chest wall."""
    side = max(breast.height, breast.width)
    left = breast.left + breast.width - side if flipped else breast.left
    return Box(breast.top, left, side, side)


def _stretch(crop: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Stretch between percentiles of the breast to float32 0..255; a flat crop keeps its level."""
    grey = np.asarray(crop, np.float32)
    low, high = np.percentile(grey[inside], (_LOW_PERCENTILE, _HIGH_PERCENTILE))
    if high <= low:
        return grey / 257
    return np.clip((grey - low) * (255 / (high - low)), 0, 255)
