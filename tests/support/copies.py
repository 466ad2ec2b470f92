"""Changes after which a picture still shows the same mammogram."""

from collections.abc import Callable

import cv2
import numpy as np


def _saved_again(picture: np.ndarray) -> np.ndarray:
    """Scale to 80 %, darken, and save as JPEG."""
    small = cv2.resize(picture, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", (small * 0.95).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def _mirrored(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture[:, ::-1])


def _cropped(picture: np.ndarray) -> np.ndarray:
    """Cut off 4 % on every side."""
    rows, columns = (round(0.04 * side) for side in picture.shape)
    return np.ascontiguousarray(picture[rows:-rows, columns:-columns])


def _turned(picture: np.ndarray) -> np.ndarray:
    """Turn by 7 degrees, black in the corners."""
    height, width = picture.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 7, 1)
    return np.asarray(cv2.warpAffine(picture, matrix, (width, height)))


def _brightened(picture: np.ndarray) -> np.ndarray:
    return np.asarray((255 * (picture / 255) ** 0.6).astype(np.uint8))


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "saved again": _saved_again,
    "mirrored": _mirrored,
    "cropped by 4 %": _cropped,
    "turned by 7 degrees": _turned,
    "gamma 0.6": _brightened,
}
