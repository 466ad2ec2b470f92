"""Where an answer comes from: hide each place of the feature map in turn and see which categories fall.

Occlusion (Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014) on the last
feature map instead of the image: the backbone runs once, the head once on a batch of copies. It needs no
gradients, works for every head, and its numbers mean what they say.
"""

import cv2
import numpy as np

from birads_app.inference.preprocess import Box

# A place counts as on the breast from this share of its area on.
_LEAST_COVERED = 0.4

# Warm colours for every category: from transparent over amber to red. RGB.
_COLD, _HOT = np.array([255, 196, 0], np.float32), np.array([220, 20, 30], np.float32)


def occlude(maps: np.ndarray) -> np.ndarray:
    """Copies of one image's feature map, each with one place hidden.

    Parameters
    ----------
    maps : float32 array of shape (rows, columns, channels)

    Returns
    -------
    float32 array of shape (1 + rows * columns, rows, columns, channels); the first copy is the original
    """
    rows, columns, _ = maps.shape
    copies = np.repeat(maps[None], 1 + rows * columns, axis=0)
    places = np.arange(rows * columns)
    copies[1 + places, places // columns, places % columns] = 0
    return copies


def fall(probabilities: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """How far each category's probability falls without each place; rises, and places beside the breast, are 0.

    Parameters
    ----------
    probabilities : array of shape (1 + rows * columns, classes), the original first
    covered : bool array of shape (rows, columns), True where the breast is

    Returns
    -------
    float32 array of shape (classes, rows, columns), values 0..1
    """
    drop = np.clip(probabilities[0] - probabilities[1:], 0, 1)
    return np.ascontiguousarray(drop.T.reshape(-1, *covered.shape) * covered, np.float32)


def covered(inside: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Which places of a feature map lie on the breast, at least by a part.

    What is hidden in the padding beside it changes an answer too, by what the network learned about edges,
    but it is no place to look at.

    Parameters
    ----------
    inside : bool array of shape (size, size)

    Returns
    -------
    bool array of shape (rows, columns)
    """
    shares = cv2.resize(inside.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(shares >= _LEAST_COVERED)


def overlay(
    heat: np.ndarray, box: Box, flipped: bool, shape: tuple[int, int], longest: int = 1024
) -> np.ndarray:
    """Draw a map as a picture to lay over the image.

    Parameters
    ----------
    heat : float32 array of shape (rows, columns), values from 0; scaled to its own maximum
    box : the square of the image that the map covers
    flipped : True where the model saw the mirror image
    shape : (height, width) of the image in pixels
    longest : the longer side of the result in pixels

    Returns
    -------
    uint8 RGBA array with the image's aspect ratio, transparent where nothing speaks for the category
    """
    scale = min(1.0, longest / max(shape))
    height, width = (max(1, round(side * scale)) for side in shape)
    if flipped:
        heat = heat[:, ::-1]
    peak = float(heat.max())
    relative = heat / peak if peak > 0 else heat
    side = max(1, round(box.height * scale))
    square = np.clip(
        cv2.resize(relative.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC), 0, 1
    )
    canvas = np.zeros((height, width), np.float32)
    _paste(canvas, square, round(box.top * scale), round(box.left * scale))
    colour = _COLD + (_HOT - _COLD) * canvas[..., None]
    return np.dstack([colour, 255 * canvas]).astype(np.uint8)


def _paste(canvas: np.ndarray, square: np.ndarray, top: int, left: int) -> None:
    """Copy the part of the square that lies on the canvas."""
    height, width = canvas.shape
    first_row, first_column = max(0, -top), max(0, -left)
    part = square[first_row : height - top, first_column : width - left]
    row, column = max(0, top), max(0, left)
    canvas[row : row + part.shape[0], column : column + part.shape[1]] = part
