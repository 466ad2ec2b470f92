"""Breast segmentation: mask, bounding box, and side of the chest wall."""

from dataclasses import dataclass

import cv2
import numpy as np

# Longer side of the image that is segmented, in pixels: enough for the breast's contour, and fast.
_SEARCH_SIZE = 256
# In pixels at the search size: structures narrower than a thread are removed, the mask is dilated by a rim to keep
# the skin, and the frame of a scanned film is at most this wide.
_THREAD, _RIM, _FRAME = 11, 7, 12
# Air is darker than this share of the range between the image's 1st and 99th percentile. The share is smaller if the
# darkest level fills much of the image without noise, as with detectors; the base of a film is noisy.
_AIR_SHARE_FILM, _AIR_SHARE_DETECTOR = 0.16, 0.03
_NOISELESS_LEVELS, _NOISELESS_AREA = 2, 0.12
# Width over which a mask in image coordinates fades towards the skin, as a share of :func:`longer_side`.
_FADE = 0.015


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the original image; it may reach outside of it where the image is padded."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class FittedBreast:
    """The breast scaled to fit a frame, with the chest wall on the left and padding below or on the right.

    breast : bounding box of the breast in the image
    tissue : float32 array of the scaled breast's shape; 1 on the breast, 0 beside it, values between them along
        its edge
    flipped : True if the image was mirrored to bring the chest wall to the left
    frame : height and width of the frame in pixels
    """

    breast: Box
    tissue: np.ndarray
    flipped: bool
    frame: tuple[int, int]

    @property
    def box(self) -> Box:
        """The frame in image coordinates; its padding may reach outside of the image."""
        height, width = self.breast.height, self.breast.width
        rows, columns = self.frame
        if height * columns >= width * rows:
            width = round(height * columns / rows)
        else:
            height = round(width * rows / columns)
        left = self.breast.left + self.breast.width - width if self.flipped else self.breast.left
        return Box(self.breast.top, left, height, width)

    @property
    def mask(self) -> np.ndarray:
        """Breast mask, bool array of the frame's shape."""
        return self.pad(self.tissue > 0)

    def crop(self, pixels: np.ndarray) -> np.ndarray:
        """Crop an image to the breast, scale it to the shape of ``tissue`` and mirror it if ``flipped``."""
        top, left, height, width = self.breast.top, self.breast.left, self.breast.height, self.breast.width
        crop = pixels[top : top + height, left : left + width]
        shape = self.tissue.shape[::-1]
        shrinks = _fitting_scale(self.breast, self.frame) < 1
        scaled = cv2.resize(crop, shape, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return np.asarray(scaled[:, ::-1] if self.flipped else scaled)

    def pad(self, cropped: np.ndarray) -> np.ndarray:
        """Pad an array of the shape of ``tissue`` with zeros to the frame."""
        return np.pad(cropped, [(0, side - own) for side, own in zip(self.frame, cropped.shape, strict=True)])


def find_breast(pixels: np.ndarray) -> Box:
    """Return the bounding box of the breast: the largest bright region that is not a label, line or frame.

    Parameters
    ----------
    pixels : uint16 array of shape (height, width), air dark

    Returns
    -------
    Box inside the image; the whole image if nothing stands out from the background.
    """
    return segment_breast(pixels)[0]


def segment_breast(pixels: np.ndarray) -> tuple[Box, np.ndarray]:
    """Return the breast's bounding box and a coarse float32 mask of that box: 1 on tissue and a rim of skin, else 0."""
    height, width = pixels.shape
    small = shrink_for_search(pixels)
    mask = coarse_mask(small)
    box = bounds(mask)
    if box is None:
        return Box(0, 0, height, width), np.ones((1, 1), np.float32)
    rows, columns = box
    scale_y, scale_x = height / small.shape[0], width / small.shape[1]
    top, left = int(rows.start * scale_y), int(columns.start * scale_x)
    bottom = min(height, int(np.ceil(rows.stop * scale_y)))
    right = min(width, int(np.ceil(columns.stop * scale_x)))
    rim = cv2.dilate(mask[box].astype(np.float32), _disc(_RIM))
    return Box(top, left, bottom - top, right - left), rim


def bounds(mask: np.ndarray) -> tuple[slice, slice] | None:
    """Return the rows and columns of the box around a mask, bool array (height, width); None if it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def fit_breast(pixels: np.ndarray, frame: tuple[int, int]) -> FittedBreast:
    """Segment the breast and fit it into a frame.

    Parameters
    ----------
    pixels : uint16 array of shape (height, width), air dark
    frame : height and width of the frame in pixels
    """
    breast, mask = segment_breast(pixels)
    scale = _fitting_scale(breast, frame)
    shape = (max(1, round(breast.width * scale)), max(1, round(breast.height * scale)))
    tissue = np.asarray(cv2.resize(mask, shape, interpolation=cv2.INTER_LINEAR))
    flipped = chest_wall_right(tissue)
    return FittedBreast(breast, tissue[:, ::-1] if flipped else tissue, flipped, frame)


def _fitting_scale(breast: Box, frame: tuple[int, int]) -> float:
    """Return pixels of the frame per pixel of the image."""
    return min(frame[0] / breast.height, frame[1] / breast.width)


def breast_mask(
    mask: np.ndarray, box: Box, flipped: bool, shape: tuple[int, ...], longest: int = 640
) -> np.ndarray:
    """Return the breast mask in image coordinates, fading to 0 at the skin.

    Parameters
    ----------
    mask : bool array, as :attr:`FittedBreast.mask`
    box : the part of the image that ``mask`` covers
    flipped : True if ``mask`` belongs to the mirrored image
    shape : (height, width) of the image in pixels
    longest : longer side of the result in pixels, at most the image's

    Returns
    -------
    float32 array with the image's aspect ratio, 0 beside the breast .. 1 on it
    """
    scale = min(1.0, longest / max(shape))
    height, width = (max(1, round(side * scale)) for side in shape)
    canvas = place_on_image(mask.astype(np.float32), box, flipped, (height, width), scale, cv2.INTER_LINEAR)
    sigma = max(1.0, _FADE * longer_side(box, shape) * scale)
    blurred = cv2.GaussianBlur(canvas, (0, 0), sigma, None, 0, cv2.BORDER_REPLICATE)
    return np.clip(2 * blurred - 1, 0, 1)


def longer_side(box: Box, shape: tuple[int, ...]) -> int:
    """Return the longer side of a box without the padding that would make it longer than its image, in pixels."""
    return min(max(box.height, box.width), max(shape))


def place_on_image(
    values: np.ndarray, box: Box, flipped: bool, shape: tuple[int, ...], scale: float, interpolation: int
) -> np.ndarray:
    """Resample an array that covers the box to image coordinates.

    Parameters
    ----------
    values : float32 array of shape (rows, columns) over ``box``
    flipped : True if ``values`` belong to the mirrored image
    shape : (height, width) of the result in pixels
    scale : pixels of the result per pixel of the image
    interpolation : one of OpenCV's flags

    Returns
    -------
    float32 array of the given shape, 0 outside of the box
    """
    if flipped:
        values = values[:, ::-1]
    size = (max(1, round(box.width * scale)), max(1, round(box.height * scale)))
    canvas = np.zeros(shape, np.float32)
    enlarged = cv2.resize(values, size, interpolation=interpolation)
    _paste(canvas, enlarged, round(box.top * scale), round(box.left * scale))
    return canvas


def _paste(canvas: np.ndarray, enlarged: np.ndarray, top: int, left: int) -> None:
    """Copy the part that lies on the canvas."""
    height, width = canvas.shape
    first_row, first_column = max(0, -top), max(0, -left)
    part = enlarged[first_row : height - top, first_column : width - left]
    row, column = max(0, top), max(0, left)
    canvas[row : row + part.shape[0], column : column + part.shape[1]] = part


def shrink_for_search(pixels: np.ndarray) -> np.ndarray:
    """Reduce to the search size as uint8, skipping rows and columns first: the search needs no averaging."""
    factor = max(pixels.shape) / _SEARCH_SIZE
    step = max(1, int(factor / 2))
    coarse = pixels[::step, ::step]
    ratio = step / factor
    if ratio < 1:
        size = (max(1, round(coarse.shape[1] * ratio)), max(1, round(coarse.shape[0] * ratio)))
        coarse = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_AREA))
    return (coarse >> 8).astype(np.uint8)


def coarse_mask(small: np.ndarray) -> np.ndarray:
    """Return the boolean breast mask of a uint8 image at search size."""
    blurred = cv2.GaussianBlur(small, (5, 5), 0)
    mask = (blurred > _background_threshold(blurred)).astype(np.uint8)
    # Opening separates film labels that touch the breast, scratches and a bright film edge from it.
    opened = cv2.morphologyEx(_without_frame(mask), cv2.MORPH_OPEN, _disc(_THREAD))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        return np.zeros(small.shape, bool)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    contours, _ = cv2.findContours(
        (labels == largest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return cv2.drawContours(np.zeros(small.shape, np.uint8), contours, -1, 1, cv2.FILLED).astype(bool)


def _without_frame(mask: np.ndarray) -> np.ndarray:
    """Clear the frame of a scanned film: bright rows and columns along the edges that end after a few pixels."""
    cleared = mask.copy()
    for view in (cleared, cleared[::-1], cleared.T, cleared.T[::-1]):
        share = view[: 2 * _FRAME].mean(axis=1)
        for depth in range(1, min(_FRAME + 1, len(share))):
            if share[:depth].min() > 0.85 and share[depth] < share[:depth].max() - 0.25:
                view[:depth] = 0
                break
    return cleared


def _background_threshold(blurred: np.ndarray) -> float:
    """Return the grey level that separates air from tissue.

    Otsu's threshold (N. Otsu, IEEE Trans. SMC 9, 1979) may separate dense from fatty tissue instead; applied again
    to the pixels below it, it finds the skin line. It is limited to a share of the range above the darkest level,
    so that fatty tissue is kept and the base of a film counts as air.
    """
    first, _ = cv2.threshold(blurred, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    below = blurred[blurred <= first]
    if below.size < 2 or below.min() == below.max():
        return float(first)
    second, _ = cv2.threshold(below.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    low, high = map(float, np.percentile(blurred, (1, 99)))
    noiseless = (blurred <= low + _NOISELESS_LEVELS).mean() > _NOISELESS_AREA
    return min(float(second), low + (_AIR_SHARE_DETECTOR if noiseless else _AIR_SHARE_FILM) * (high - low))


def _disc(diameter: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))


def chest_wall_right(inside: np.ndarray) -> bool:
    """Return True if the breast is taller along the right edge of its box than along the left one."""
    margin = max(1, inside.shape[1] // 10)
    return float(inside[:, -margin:].mean()) > float(inside[:, :margin].mean())
