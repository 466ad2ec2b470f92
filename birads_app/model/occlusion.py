"""Heat maps by occlusion: hide each cell of the feature map in turn and measure which categories lose probability.

Occlusion (Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014) of the last
feature map instead of the image: the backbone runs once, the head once on a batch of copies. It needs no
gradients and works for every head. In a map of many cells, as of a large input, neighbouring cells are hidden together.
"""

from collections.abc import Callable, Iterator, Mapping

import cv2
import numpy as np

from birads_app.imaging.segmentation import Box, breast_mask, longer_side, place_on_image
from birads_app.model.preprocess import ModelInput

# Smallest share of a cell's area that must lie on the breast.
_LEAST_COVERED = 0.4
# Of the box's longer side: width over which the mask fades, and of the image's longer side: the widest frame of a film.
_FADED, _FRAME = 0.045, 0.047
# Most rows and columns of places that are hidden one after the other; the time grows with their number.
_PLACES = 14
# Copies of a feature map per batch; the 99 of a 7 x 7 map make 33 full batches. More take more memory, not less time.
_BATCH_SIZE = 3

# From violet through orange to yellow: lightness rises evenly with the value, so that the map can be read with
# red-green colour blindness and in a grey print. The ends are left out: the darkest colours resemble tissue, and
# the brightest turn green when half transparent over black.
_FIRST_COLOUR, _LAST_COLOUR = 70, 235
_LEVELS = np.linspace(_FIRST_COLOUR, _LAST_COLOUR, 256).astype(np.uint8).reshape(256, 1)
_RAMP = cv2.applyColorMap(_LEVELS, cv2.COLORMAP_PLASMA).reshape(256, 3)[:, ::-1]  # RGB


def render_heat_maps(seen: ModelInput, heat_maps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Render each category's heat map over the image, uint8 RGBA array of shape (height, width, 4)."""
    place = seen.box, seen.flipped, seen.shape
    mask = _to_chest_wall(breast_mask(seen.breast_mask, *place), *place)
    return {code: render_heat_map(heat, *place, mask) for code, heat in heat_maps.items()}


def _to_chest_wall(mask: np.ndarray, box: Box, flipped: bool, shape: tuple[int, int]) -> np.ndarray:
    """Return a breast mask that does not fade towards the chest wall, as there is no skin.

    It reaches the image's edge if nothing but a film's frame can be in between. Parameters as
    :func:`birads_app.imaging.segmentation.breast_mask`, which returns the mask.
    """
    scale = max(mask.shape) / max(shape)
    from_wall = mask[:, ::-1] if flipped else mask
    wall = (shape[1] - box.left - box.width if flipped else box.left) * scale
    inner = min(from_wall.shape[1] - 1, round(wall + _FADED * longer_side(box, shape) * scale))
    outer = 0 if wall <= _FRAME * max(mask.shape) else round(wall)
    from_wall[:, outer:inner] = np.maximum(from_wall[:, outer:inner], from_wall[:, inner : inner + 1])
    return mask


def occluded_logits(
    maps: np.ndarray, logits: Callable[[np.ndarray], np.ndarray], cells: np.ndarray | None = None
) -> np.ndarray:
    """Return the head's logits for a map and its copies with hidden places.

    Parameters
    ----------
    maps : float32 array of shape (rows, columns, channels)
    cells : bool array of shape :func:`places`, those to hide; all if None

    Returns
    -------
    Array of shape (1 + 2 * places, classes), as :func:`weight_of_evidence` takes it. Places that are not hidden have
    the logits of the unchanged map.
    """
    cells = np.ones(places(maps.shape), bool) if cells is None else cells
    found = np.concatenate([logits(copies) for copies in occlude(maps, cells)])
    every = np.repeat(found[:1], 1 + 2 * cells.size, axis=0)
    every[1:][np.tile(cells.ravel(), 2)] = found[1:]
    return every


def places(map_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the rows and columns of places to hide in a feature map of shape (rows, columns, channels).

    A place is a cell, or a block of cells where there would be more than 14 rows or columns.
    """
    rows, columns = map_shape[:2]
    side = -(-max(rows, columns) // _PLACES)
    return -(-rows // side), -(-columns // side)


def occlude(maps: np.ndarray, cells: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Yield copies of one image's feature map: unchanged, then one place hidden, then a place and its neighbours.

    Parameters
    ----------
    maps : float32 array of shape (rows, columns, channels)
    cells : bool array of shape :func:`places`, those to hide; all if None

    Yields
    ------
    float32 arrays of shape (n, rows, columns, channels), one copy and two for each place to hide in all; in
    batches, because together they would take 40 MB at 7 x 7 cells.
    """
    rows, columns = places(maps.shape)
    row, column = np.divmod(np.arange(rows * columns), columns)
    distance = np.maximum(abs(row[:, None] - row), abs(column[:, None] - column)).reshape(-1, rows, columns)
    if cells is not None:
        distance = distance[cells.ravel()]
    hidden = np.concatenate([np.zeros((1, rows, columns), bool), distance == 0, distance <= 1])
    # The place of each row and of each column of cells.
    of_rows, of_columns = (
        np.arange(cells) * count // cells for cells, count in zip(maps.shape, (rows, columns), strict=False)
    )
    for start in range(0, len(hidden), _BATCH_SIZE):
        part = hidden[start : start + _BATCH_SIZE, of_rows[:, None], of_columns]
        copies = np.repeat(maps[None], len(part), axis=0)
        copies[part] = 0
        yield copies


def weight_of_evidence(logits: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the weight of evidence of each place for each category: the drop of its log odds when it is hidden.

    Unlike a difference of probabilities, the weight of evidence (Robnik-Sikonja and Kononenko, IEEE Trans. Knowledge
    and Data Engineering 20, 2008) does not vanish at high confidence. Hiding the place alone is weighted by two thirds
    and hiding it with its neighbours by one third, so that findings larger than a place are seen as well. The average
    over the breast is subtracted, because hiding any place favours the categories that the model predicts without
    evidence. Places below the average or outside of the breast are 0.

    Parameters
    ----------
    logits : array of shape (1 + 2 * rows * columns, classes) for the copies of :func:`occlude`, divided by the
        temperature
    cells : bool array of shape (rows, columns), True on the breast, as :func:`breast_cells`

    Returns
    -------
    float32 array of shape (classes, rows, columns), in units of the natural logarithm, at least 0
    """
    odds = _log_odds(np.asarray(logits, np.float64))
    alone, around = np.split(odds[0] - odds[1:], 2)
    weight = ((2 * alone + around) / 3).T.reshape(-1, *cells.shape)
    average = weight[:, cells].mean(axis=1) if cells.any() else np.zeros(len(weight))
    return np.ascontiguousarray(np.clip(weight - average[:, None, None], 0, None) * cells, np.float32)


def _log_odds(logits: np.ndarray) -> np.ndarray:
    """Return each class's logit minus the log of the sum of the others' exponentials, shape (n, classes)."""
    classes = logits.shape[1]
    others = np.stack([np.delete(logits, number, axis=1) for number in range(classes)], axis=1)
    highest = others.max(axis=2)
    return np.asarray(logits - highest - np.log(np.exp(others - highest[..., None]).sum(axis=2)))


def breast_cells(inside: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return the cells of a grid over the input that lie on the breast.

    Hiding cells of the padding changes the prediction as well, since the network responds to edges, but they show no
    tissue.

    Parameters
    ----------
    inside : breast mask, bool array of the input's shape
    rows, columns : of the grid, usually :func:`places`

    Returns
    -------
    bool array of shape (rows, columns)
    """
    shares = cv2.resize(inside.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(shares >= _LEAST_COVERED)


def render_heat_map(
    heat: np.ndarray, box: Box, flipped: bool, shape: tuple[int, int], mask: np.ndarray
) -> np.ndarray:
    """Render a weight-of-evidence map as an overlay in image coordinates.

    Parameters
    ----------
    heat : float32 array of shape (rows, columns), at least 0; scaled to its maximum
    box : the part of the image that the map covers
    flipped : True if the map belongs to the mirrored image
    shape : (height, width) of the image in pixels
    mask : breast mask of the result's shape, as :func:`birads_app.imaging.segmentation.breast_mask`

    Returns
    -------
    uint8 RGBA array, transparent beside the breast and where the evidence is 0
    """
    peak = float(heat.max())
    relative = (heat / peak if peak > 0 else heat).astype(np.float32)
    scale = max(mask.shape) / max(shape)
    canvas = np.clip(place_on_image(relative, box, flipped, mask.shape, scale, cv2.INTER_CUBIC), 0, 1)
    levels, alpha = (np.rint(255 * part).astype(np.uint8) for part in (canvas, canvas * mask))
    return np.dstack([_RAMP[levels], alpha])
