"""Preprocessing of a mammogram: segment the breast, crop, mirror, resize, pad to the input size, standardise.

:class:`ModelInput` records the geometry, so that a map over the input can be shown over the image.
:data:`VERSION` is raised whenever the same file would give other values; bundles and feature caches store it.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from birads_app.imaging.decode import Mammogram
from birads_app.imaging.segmentation import Box, fit_breast

VERSION = 1

# ImageNet mean per channel in BGR order, subtracted without scaling, as Keras preprocesses for VGG16 and ResNet50;
# the paper does the same.
_IMAGENET_MEAN_BGR = np.array([103.939, 116.779, 123.68], np.float32)
# Brightness is stretched between these percentiles of the breast, to even out windows and film densities.
_LOW_PERCENTILE, _HIGH_PERCENTILE = 1.0, 99.7


class InputSize(NamedTuple):
    """Height and width of the backbone's input in pixels; each bundle has its own."""

    height: int
    width: int

    @classmethod
    def square(cls, side: int) -> "InputSize":
        """Return the size of a square."""
        return cls(side, side)

    @classmethod
    def from_json(cls, value: Any) -> "InputSize":
        """Read the value in a manifest: a side, or height and width; raises TypeError or ValueError."""
        if isinstance(value, list):
            height, width = value
            return cls(int(height), int(width))
        return cls.square(int(value))

    def to_json(self) -> int | list[int]:
        """Return the value for a manifest; a single side for a square, as in bundles of earlier versions."""
        return self.height if self.height == self.width else list(self)

    def __str__(self) -> str:
        """Return ``448``, or ``896x448`` for a height of 896 and a width of 448."""
        return str(self.height) if self.height == self.width else f"{self.height}x{self.width}"


DEFAULT_SIZE = InputSize.square(224)


@dataclass(frozen=True)
class ModelInput:
    """Input of the backbone for one image.

    grey : uint8 array of the input size, the breast stretched to 0..255, black around it
    breast_mask : breast mask, bool array of the same shape
    box : the part of the original image that ``grey`` covers
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
        """Standardised input, float32 array of shape (height, width, 3)."""
        return standardise(self.grey)


def prepare(mammogram: Mammogram, size: InputSize) -> ModelInput:
    """Return the backbone's input for a mammogram.

    Parameters
    ----------
    mammogram : decoded image
    size : from the bundle
    """
    fitted = fit_breast(mammogram.pixels, size)
    grey = _stretch(fitted.crop(mammogram.pixels), fitted.tissue > 0) * fitted.tissue
    return ModelInput(
        grey=fitted.pad(np.rint(grey).astype(np.uint8)),
        breast_mask=fitted.mask,
        box=fitted.box,
        flipped=fitted.flipped,
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
