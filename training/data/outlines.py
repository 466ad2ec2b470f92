"""Outlines of findings: black and white images, cropped, scaled and mirrored like the images that they belong to."""

import hashlib

import cv2
import numpy as np

from birads_app.imaging.segmentation import fit_breast
from birads_app.model.preprocess import InputSize
from training.errors import DatasetError

# Grey levels above this one are white.
_WHITE_FROM = 127


def key_of(image: bytes, mask: bytes) -> bytes:
    """Return the key under which an outline is stored: SHA-256 of the image file's digest and the mask's content."""
    return hashlib.sha256(image + mask).digest()


def read(data: bytes, pixels: np.ndarray, size: InputSize) -> np.ndarray:
    """Read a mask and transform it like its image.

    Parameters
    ----------
    data : content of the mask's file
    pixels : uint16 (height, width), the decoded image
    size : of the network's input

    Returns
    -------
    uint8 array of the input's size: the share of each pixel that findings cover, 0 to 255

    Raises
    ------
    DatasetError
        The mask cannot be read, has another size than the image, or is neither black nor white.
    """
    mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if mask is None:
        raise DatasetError("cannot be read as an image. Store it as PNG")
    if mask.shape != pixels.shape:
        (height, width), (rows, columns) = mask.shape, pixels.shape
        raise DatasetError(
            f"has {width} x {height} pixels, its image {columns} x {rows}. Draw it in the size of the image"
        )
    if 0 < mask.max() <= _WHITE_FROM:
        raise DatasetError(
            f"has no white pixel; the brightest has the grey level {mask.max()} of 255. Draw findings white"
        )
    return fit(np.where(mask > _WHITE_FROM, 255, 0).astype(np.uint8), pixels, size)


def fit(mask: np.ndarray, pixels: np.ndarray, size: InputSize) -> np.ndarray:
    """Crop, scale and mirror a mask as :func:`birads_app.model.preprocess.prepare` does with its image.

    Parameters
    ----------
    mask : uint8 (height, width), 255 inside a finding, 0 elsewhere
    pixels : uint16 (height, width), the decoded image

    Returns
    -------
    uint8 array of the input's size, 0 to 255
    """
    fitted = fit_breast(pixels, size)
    return fitted.pad(fitted.crop(mask))
