"""Preprocessing of a mammogram: segment the breast, crop, mirror, pad to a square, resize, standardise.

:class:`ModelInput` records the geometry, so that a map over the input can be shown over the image.
:data:`VERSION` is raised whenever the same file would give other values; bundles and feature caches store it.
"""

from dataclasses import dataclass

import numpy as np

from birads_app.imaging.decode import Mammogram
from birads_app.imaging.segmentation import Box, breast_square

VERSION = 1

# ImageNet mean per channel in BGR order, subtracted without scaling, as Keras preprocesses for VGG16 and ResNet50;
# the paper does the same.
_IMAGENET_MEAN_BGR = np.array([103.939, 116.779, 123.68], np.float32)
# Brightness is stretched between these percentiles of the breast, to even out windows and film densities.
_LOW_PERCENTILE, _HIGH_PERCENTILE = 1.0, 99.7


@dataclass(frozen=True)
class ModelInput:
    """Input of the backbone for one image.

    grey : uint8 array of shape (size, size), the breast stretched to 0..255, black around it
    breast_mask : breast mask, bool array of shape (size, size)
    box : the square of the original image that ``grey`` covers
    flipped : True if the image was mirrored to bring the chest wall to the left
    shape : (height, width) of the image in pixels
    """

    grey: np.ndarray
    breast_mask: np.ndarray
    box: Box
    flipped: bool
    shape: tuple[int, int]

    @property
    def tensor(self) -> np.ndarray:
        """Standardised input, float32 array of shape (size, size, 3)."""
        return standardise(self.grey)


def prepare(mammogram: Mammogram, size: int) -> ModelInput:
    """Return the backbone's input for a mammogram.

    Parameters
    ----------
    mammogram : decoded image
    size : side of the square input in pixels, from the bundle
    """
    square = breast_square(mammogram.pixels, size)
    grey = _stretch(square.crop(mammogram.pixels), square.tissue > 0) * square.tissue
    return ModelInput(
        grey=square.pad(np.rint(grey).astype(np.uint8)),
        breast_mask=square.mask,
        box=square.box,
        flipped=square.flipped,
        shape=(mammogram.pixels.shape[0], mammogram.pixels.shape[1]),
    )


def standardise(grey: np.ndarray) -> np.ndarray:
    """Standardise grey levels 0..255 of shape (...) for VGG16: three BGR channels minus the ImageNet mean.

    Returns a float32 array of shape (..., 3).
    """
    grey = np.asarray(grey, np.float32)
    channels = np.empty((*grey.shape, 3), np.float32)
    for channel, mean in enumerate(_IMAGENET_MEAN_BGR):  # a broadcast subtraction takes five times as long
        np.subtract(grey, mean, out=channels[..., channel])
    return channels


def _stretch(crop: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Stretch between percentiles of the breast to float32 0..255; a constant crop keeps its level."""
    grey = np.asarray(crop, np.float32)
    low, high = np.percentile(grey[inside], (_LOW_PERCENTILE, _HIGH_PERCENTILE))
    if high <= low:
        return grey / 257
    return np.clip((grey - low) * (255 / (high - low)), 0, 255)
