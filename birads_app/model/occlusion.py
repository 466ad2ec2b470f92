"""Where an answer comes from: hide each place of the feature map in turn and see which categories fall.

Occlusion (Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014) on the last
feature map instead of the image: the backbone runs once, the head once on a batch of copies. It needs no
gradients, works for every head, and its numbers mean what they say.
"""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from birads_app.imaging.segmentation import Box

# A place counts as on the breast from this share of its area on.
_LEAST_COVERED = 0.4
# Copies of a map that are held, and judged, at a time; the 99 of a 7 x 7 map make nine equal parts.
_AT_ONCE = 11

# From violet over orange to yellow: lightness rises evenly with the value, so that eyes that confuse red with
# green, and a grey print, still read it. The ends are left out: the darkest could be taken for tissue, and half
# transparent over black the brightest turns green.
_FIRST_COLOUR, _LAST_COLOUR = 70, 235
_LEVELS = np.linspace(_FIRST_COLOUR, _LAST_COLOUR, 256).astype(np.uint8).reshape(256, 1)
_RAMP = cv2.applyColorMap(_LEVELS, cv2.COLORMAP_PLASMA).reshape(256, 3)[:, ::-1]  # RGB
# How far a map fades towards the skin, and towards the edge of what the model saw, as a share of that square.
_FADE = 0.015


def occluded(maps: np.ndarray, logits: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What a head says of each copy that :func:`occlude` makes: (copies, classes)."""
    return np.concatenate([logits(copies) for copies in occlude(maps)])


def occlude(maps: np.ndarray) -> Iterator[np.ndarray]:
    """Copies of one image's feature map: as it is, each with one place hidden, each with a place and its neighbours.

    Parameters
    ----------
    maps : float32 array of shape (rows, columns, channels)

    Yields
    ------
    float32 arrays of shape (n, rows, columns, channels), 1 + 2 * rows * columns in all; few at a time, because
    all of them would take 40 MB.
    """
    rows, columns, _ = maps.shape
    row, column = np.divmod(np.arange(rows * columns), columns)
    distance = np.maximum(abs(row[:, None] - row), abs(column[:, None] - column)).reshape(-1, rows, columns)
    hidden = np.concatenate([np.zeros((1, rows, columns), bool), distance == 0, distance <= 1])
    for start in range(0, len(hidden), _AT_ONCE):
        part = hidden[start : start + _AT_ONCE]
        copies = np.repeat(maps[None], len(part), axis=0)
        copies[part] = 0
        yield copies


def evidence(logits: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """What each place says for each category: how far the category's log odds fall without it.

    The weight of evidence (Robnik-Sikonja and Kononenko, IEEE Trans. Knowledge and Data Engineering 20, 2008):
    unlike a difference of probabilities it does not vanish where the model is sure. The place alone counts two
    thirds and the place with its neighbours one, so that a finding larger than a place is seen as well. Each
    place is compared with the breast's average one, since hiding anything at all favours the categories that
    the model names without evidence. Places below the average or beside the breast count 0.

    Parameters
    ----------
    logits : array of shape (1 + 2 * rows * columns, classes) for :func:`occlude`'s copies, divided by the
        temperature
    covered : bool array of shape (rows, columns), True where the breast is

    Returns
    -------
    float32 array of shape (classes, rows, columns), natural log units from 0
    """
    odds = _log_odds(np.asarray(logits, np.float64))
    alone, around = np.split(odds[0] - odds[1:], 2)
    weight = ((2 * alone + around) / 3).T.reshape(-1, *covered.shape)
    average = weight[:, covered].mean(axis=1) if covered.any() else np.zeros(len(weight))
    return np.ascontiguousarray(np.clip(weight - average[:, None, None], 0, None) * covered, np.float32)


def _log_odds(logits: np.ndarray) -> np.ndarray:
    """Each class's logit less the log of the sum of the others' exponentials, (n, classes)."""
    classes = logits.shape[1]
    others = np.stack([np.delete(logits, number, axis=1) for number in range(classes)], axis=1)
    highest = others.max(axis=2)
    return np.asarray(logits - highest - np.log(np.exp(others - highest[..., None]).sum(axis=2)))


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


def veil(
    inside: np.ndarray, box: Box, flipped: bool, shape: tuple[int, int], longest: int = 640
) -> np.ndarray:
    """Where on the image a map may show: on the breast, fading to nothing at the skin.

    Parameters
    ----------
    inside : bool array of shape (size, size), True where the breast is
    box : the square of the image that ``inside`` covers
    flipped : True where the model saw the mirror image
    shape : (height, width) of the image in pixels
    longest : the longer side of the result in pixels

    Returns
    -------
    float32 array with the image's aspect ratio, 0 where no map shows .. 1 where it shows fully
    """
    scale = min(1.0, longest / max(shape))
    height, width = (max(1, round(side * scale)) for side in shape)
    canvas = _laid_over(inside.astype(np.float32), box, flipped, (height, width), scale, cv2.INTER_LINEAR)
    blurred = cv2.GaussianBlur(
        canvas, (0, 0), max(1.0, _FADE * box.height * scale), None, 0, cv2.BORDER_REPLICATE
    )
    return np.clip(2 * blurred - 1, 0, 1)


def overlay(
    heat: np.ndarray, box: Box, flipped: bool, shape: tuple[int, int], veil: np.ndarray
) -> np.ndarray:
    """Draw a map as a picture to lay over the image.

    Parameters
    ----------
    heat : float32 array of shape (rows, columns), values from 0; scaled to its own maximum
    box : the square of the image that the map covers
    flipped : True where the model saw the mirror image
    shape : (height, width) of the image in pixels
    veil : of :func:`veil`; its size is the result's

    Returns
    -------
    uint8 RGBA array, transparent where nothing speaks for the category and beside the breast
    """
    peak = float(heat.max())
    relative = (heat / peak if peak > 0 else heat).astype(np.float32)
    scale = max(veil.shape) / max(shape)
    canvas = np.clip(_laid_over(relative, box, flipped, veil.shape, scale, cv2.INTER_CUBIC), 0, 1)
    levels, alpha = (np.rint(255 * part).astype(np.uint8) for part in (canvas, canvas * veil))
    return np.dstack([_RAMP[levels], alpha])


def _laid_over(
    square: np.ndarray, box: Box, flipped: bool, shape: tuple[int, ...], scale: float, interpolation: int
) -> np.ndarray:
    """Enlarge what covers the box and lay it on an empty canvas of the given shape."""
    if flipped:
        square = square[:, ::-1]
    side = max(1, round(box.height * scale))
    canvas = np.zeros(shape, np.float32)
    enlarged = cv2.resize(square, (side, side), interpolation=interpolation)
    _paste(canvas, enlarged, round(box.top * scale), round(box.left * scale))
    return canvas


def _paste(canvas: np.ndarray, square: np.ndarray, top: int, left: int) -> None:
    """Copy the part of the square that lies on the canvas."""
    height, width = canvas.shape
    first_row, first_column = max(0, -top), max(0, -left)
    part = square[first_row : height - top, first_column : width - left]
    row, column = max(0, top), max(0, left)
    canvas[row : row + part.shape[0], column : column + part.shape[1]] = part
