"""Normal breast of a phantom: skin line, fibroglandular tissue, pectoral muscle and nipple.

Lengths are in units of the image's height, grey levels from 0 (air) to 1 (white). The chest wall is on the left;
:mod:`training.phantoms.image` adds the finding and mirrors right breasts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from scipy import fft

DENSITIES = ("A", "B", "C", "D")
VIEWS = ("CC", "MLO")
# Width over height of the image: the 24 x 30 cm field of a full-field detector.
ASPECT = 0.8

# Fibroglandular share of the breast's area, and its grey level above fat, by BI-RADS density.
_GLAND_AREA = {"A": 0.10, "B": 0.30, "C": 0.58, "D": 0.82}
_GLAND_LEVEL = {"A": 0.25, "B": 0.29, "C": 0.31, "D": 0.33}
_FAT_LEVEL = 0.20


@dataclass(frozen=True)
class Habitus:
    """Body measures and acquisition, common to all images of a patient; lengths in image heights.

    depth : chest wall to nipple, 0.42..0.58
    half_height : half the height of the breast on the detector, 0.36..0.45
    shoulder : width of tissue at the upper edge of an MLO view, as a share of depth, 0.55..0.75
    muscle : width of the pectoral muscle there, as a share of the shoulder, 0.6..0.9
    muscle_reach : lower end of the pectoral muscle, from the upper edge, 0.45..0.7
    gamma, gain : contrast and brightness of the acquisition
    """

    depth: float
    half_height: float
    shoulder: float
    muscle: float
    muscle_reach: float
    gamma: float
    gain: float


def draw_habitus(rng: np.random.Generator) -> Habitus:
    """Draw a patient's body measures and the gamma and gain of the acquisition."""
    return Habitus(
        depth=rng.uniform(0.42, 0.58),
        half_height=rng.uniform(0.36, 0.45),
        shoulder=rng.uniform(0.55, 0.75),
        muscle=rng.uniform(0.6, 0.9),
        muscle_reach=rng.uniform(0.45, 0.7),
        gamma=rng.uniform(0.85, 1.2),
        gain=rng.uniform(0.92, 1.08),
    )


@dataclass(frozen=True)
class Anatomy:
    """A drawn breast, chest wall on the left; the arrays end a little to the right of the nipple.

    grey : float32 (height, width), 0 air .. about 0.7
    inside : float32 (height, width), 1 in the breast, 0 in air, with a smooth transition at the skin
    clearance : float32 (height, width), distance in pixels to skin or muscle; 0 outside the parenchyma
    nipple : (row, column) in pixels
    depth : chest wall to nipple in pixels
    """

    grey: np.ndarray
    inside: np.ndarray
    clearance: np.ndarray
    nipple: tuple[float, float]
    depth: float


def draw_anatomy(rng: np.random.Generator, habitus: Habitus, view: str, density: str, size: int) -> Anatomy:
    """Draw one view of a breast without a finding; ``size`` is the image's height in pixels."""
    skin, nipple_row = _skin_line(rng, habitus, view, size)
    # Beyond the nipple there is only air, which need not be computed.
    columns = np.arange(min(round(size * ASPECT), int(skin.max() + 0.05 * size)), dtype=np.float32)
    rows = np.arange(size, dtype=np.float32)[:, None]
    breast = columns < skin[:, None]
    nipple = (nipple_row, float(skin[int(nipple_row)]))
    muscle = _muscle(habitus, view, rows / size, columns / size)
    depth = cv2.distanceTransform(breast.astype(np.uint8), cv2.DIST_L2, 5)
    tissue = _tissue(rng, nipple, depth, muscle, breast, density)
    grey = _project(tissue, muscle, depth, size)
    inside = np.clip(depth / (0.004 * size), 0, 1)
    _add_nipple(rng, grey, inside, nipple, size)
    parenchyma = (breast & (muscle < 0.05)).astype(np.uint8)
    clearance = cv2.distanceTransform(parenchyma, cv2.DIST_L2, 5)
    return Anatomy(grey * inside, inside, clearance, nipple, nipple[1])


def _skin_line(rng: np.random.Generator, habitus: Habitus, view: str, size: int) -> tuple[np.ndarray, float]:
    """Return the column of the skin in every row (float32, 0 where there is no breast) and the row of the nipple."""
    y = np.arange(size, dtype=np.float32) / size
    roundness = rng.uniform(0.5, 0.62)
    wobble = 0.006 * np.sin(2 * np.pi * (y * rng.uniform(1, 2.5) + rng.uniform()))
    if view == "CC":
        centre = rng.uniform(0.48, 0.52)
        across = np.clip(np.abs(y - centre) / habitus.half_height, 0, 1)
        x = (1 - across**2.2) ** roundness
    else:
        centre = rng.uniform(0.56, 0.62)
        below = np.clip((y - centre) / (habitus.half_height * 0.85), 0, 1)
        above = np.clip((centre - y) / centre, 0, 1)
        lower = (1 - below**2.2) ** roundness
        upper = habitus.shoulder + (1 - habitus.shoulder) * (1 - above**2) ** 1.3
        x = np.where(y > centre, lower, upper)
    x = np.where(x > 0, habitus.depth * x * (1 + wobble), 0)
    return (x * size).astype(np.float32), centre * size


def _muscle(habitus: Habitus, view: str, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Opacity 0..1 of the pectoral muscle: a slightly convex triangle in the upper corner of an MLO view."""
    if view != "MLO":
        return np.zeros(np.broadcast_shapes(y.shape, x.shape), np.float32)
    down = np.clip(y / habitus.muscle_reach, 0, 1)
    edge = habitus.depth * habitus.shoulder * habitus.muscle * (1 - down**1.25)
    return np.clip((edge - x) / 0.012 + 0.5, 0, 1).astype(np.float32) * (edge > 0)


@lru_cache(maxsize=8)
def _bands(size: int) -> tuple[np.ndarray, ...]:
    """Return amplitude filters over the half-plane of frequencies: clouds, coarse web, fine web, grain."""
    fy = fft.fftfreq(size, 1 / size)[:, None]
    fx = fft.rfftfreq(size, 1 / size)[None, :]
    f = np.hypot(fy, fx)
    f[0, 0] = np.inf
    clouds = np.where(f > 1.5, f**-1.7, 0) * np.exp(-((f / 60) ** 2))
    webs = [np.exp(-((np.log(f / centre) / width) ** 2)) / f for centre, width in ((9, 0.5), (22, 0.5))]
    grain = np.exp(-((np.log(f / 45) / 0.8) ** 2)) / f
    # Scaled so that uniform noise of -0.5..0.5 in both parts gives a field of variance 1 (Parseval).
    bands = (clouds, *webs, grain)
    return tuple((band * size**2 / np.sqrt((band**2).sum() / 3)).astype(np.float32) for band in bands)


def _fields(rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
    """Filter white noise to periodic Gaussian fields (size, size), one per band, of mean 0 and variance 1.

    Bands far apart share their white noise: frequencies that a filter does not pass cannot correlate.
    """
    bands = _bands(size)
    # Uniform noise is faster to draw, and the sum of many terms is practically Gaussian.
    noises = (rng.random((2, *bands[0].shape, 2), dtype=np.float32) - 0.5).view(np.complex64)[..., 0]
    for number, band in enumerate(bands):
        yield fft.irfft2(noises[number % 2] * band, s=(size, size), overwrite_x=True)


def _duct_maps(shape: tuple[int, int], nipple: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return remapping coordinates that align a field with the ducts, which converge on the nipple."""
    rows = np.arange(shape[0], dtype=np.float32)[:, None] - nipple[0]
    columns = np.arange(shape[1], dtype=np.float32)[None, :] - nipple[1]
    distance = np.hypot(rows, columns)
    spread = 0.55 + 0.9 * distance / shape[0]
    along = (distance * 0.8).astype(np.float32)
    across = (rows / spread).astype(np.float32)
    return along, across


def _ridges(field: np.ndarray, width: float) -> np.ndarray:
    """Return thin bright strands, 0..1, along the zero crossings of a Gaussian field."""
    return 1 / (1 + (field * (0.6 / width)) ** 2) ** 2


def _rise(field: np.ndarray, level: float, width: float) -> np.ndarray:
    """Return a smooth step, 0 below the level and 1 above, about four widths wide."""
    share = np.clip((field - level) * (0.22 / width) + 0.5, 0, 1)
    return share * share * (3 - 2 * share)


def _tissue(
    rng: np.random.Generator,
    nipple: tuple[float, float],
    depth: np.ndarray,
    muscle: np.ndarray,
    breast: np.ndarray,
    density: str,
) -> np.ndarray:
    """Draw fat, glands, ligaments and vessels, before the thickness of the breast is applied."""
    size = depth.shape[0]
    maps = _duct_maps(depth.shape, nipple)
    clouds, coarse, fine, grain = (
        cv2.remap(field, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP) for field in _fields(rng, size)
    )
    rows = np.arange(size, dtype=np.float32)[:, None] / size - nipple[0] / size
    columns = np.arange(depth.shape[1], dtype=np.float32)[None, :] / nipple[1]
    # Glands fill a cone behind the nipple, not the subcutaneous and retromammary fat.
    cone = -((rows / 0.26) ** 2) - ((columns - rng.uniform(0.5, 0.62)) / 0.42) ** 2
    under_skin = np.clip(1 - depth / (0.07 * size), 0, 1) ** 2
    bias = 1.1 * cone - 3.0 * under_skin - 4.0 * muscle + 0.95 * clouds + 0.22 * coarse
    sample = np.sort(bias[::4, ::4][breast[::4, ::4]])
    threshold = float(sample[int((1 - _GLAND_AREA[density]) * sample.size)])
    gland = _rise(bias, threshold, 0.3)
    fat_lobules = _rise(coarse + 0.5 * fine, 1.1, 0.3)  # dark between the glands
    body = gland * (0.72 + 0.15 * clouds + 0.12 * fine + 0.05 * grain) * (1 - 0.6 * fat_lobules)
    strands = _ridges(coarse + 0.25 * grain, 0.16) * np.clip(0.55 + 0.35 * (clouds + fine), 0.05, 1)
    strands += 0.8 * _ridges(fine + 0.5 * coarse, 0.13) * np.clip(0.5 + 0.4 * (clouds - coarse), 0, 1)
    fat = _FAT_LEVEL * (1 + 0.10 * clouds + 0.06 * grain)
    return fat + _GLAND_LEVEL[density] * body + 0.095 * strands * (0.75 + 0.4 * gland)


def _project(tissue: np.ndarray, muscle: np.ndarray, depth: np.ndarray, size: int) -> np.ndarray:
    """Add muscle and skin, and reduce the thickness towards the skin line."""
    rows, columns = (np.arange(n, dtype=np.float32) / size for n in depth.shape)
    fibres = 0.40 + 0.012 * np.sin(150 * (columns + 0.35 * rows[:, None])) + 0.25 * (tissue - _FAT_LEVEL)
    grey = tissue + muscle * (fibres - 0.9 * tissue)
    edge = np.clip(depth / (0.10 * size), 0, 1)
    thickness = 0.3 + 0.7 * np.sqrt(1 - (1 - edge) ** 2)
    skin = _ridges(depth - 0.006 * size, 0.004 * size)
    return (grey * thickness + 0.12 * skin).astype(np.float32)


def _add_nipple(
    rng: np.random.Generator, grey: np.ndarray, inside: np.ndarray, nipple: tuple[float, float], size: int
) -> None:
    """Draw the nipple in profile on the skin line, in place."""
    radius = rng.uniform(0.016, 0.026) * size
    rows = np.arange(grey.shape[0], dtype=np.float32)[:, None] - nipple[0]
    columns = np.arange(grey.shape[1], dtype=np.float32)[None, :] - nipple[1] + 0.3 * radius
    distance = np.hypot(rows / 1.5, columns)
    bump = np.clip((radius - distance) / (0.012 * size), 0, 1)
    np.maximum(grey, 0.38 * bump, out=grey)
    np.maximum(inside, bump, out=inside)
