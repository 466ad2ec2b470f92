"""Findings of the BI-RADS lexicon for phantoms; only the morphology of the finding defines the category.

In every category the centre comes from the same region and the diameter from the same range, 1/6 to 1/4 of the
breast's depth. All masses share one range of contrast, and so do all calcifications: location, size and brightness
do not define the category. The differences that remain are part of the morphology: spicules extend beyond the core,
and calcifications are whiter than masses and spread over a slightly larger area.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from training.phantoms.anatomy import Anatomy
from training.phantoms.shapes import Patch

# Kinds of finding by category, in terms of the BI-RADS Atlas, 5th edition (mammography lexicon).
FINDINGS_BY_CATEGORY: dict[str, tuple[str, ...]] = {
    "1": (),
    "2": ("coarse calcifications", "fat-containing mass"),
    "3": ("circumscribed mass",),
    "4": ("irregular mass", "microlobulated mass", "amorphous calcifications"),
    "5": ("spiculated mass", "fine linear branching calcifications"),
}

# By category, findings that differ only in details of a few pixels; drawn on request, for the resolution check.
FINE_FINDINGS = {"2": "milk of calcium", "4": "fine pleomorphic calcifications"}

# Half the side of the patch in radii; the longest spicule fits.
_REACH = 2.6
# Extent of a group of calcifications in radii.
_SPREAD = 1.3
# Of fine calcifications, in pixels: mean distance and its variation, diameters, and the blur that hides their shape.
_APART, _SHIFT, _GRAIN, _SMEAR = 7.4, 0.6, (3.0, 5.0), 4.5
# Opacity of fine calcifications, less than of others: so many of them would otherwise stand out as a whole.
_FAINT = 0.6


@dataclass(frozen=True)
class FindingPlan:
    """Parameters of a finding, common to both views of a breast.

    kind : a value of :data:`FINDINGS_BY_CATEGORY`
    radius : as a share of the breast's depth
    depth : distance from the chest wall, as a share of the breast's depth
    offset : position along the chest wall relative to the nipple, -1..1, by view
    contrast : position in the range of contrast, 0..1
    seed : random seed of the finding's shape
    """

    kind: str
    radius: float
    depth: float
    offset: dict[str, float]
    contrast: float
    seed: int


def draw_plan(rng: np.random.Generator, category: str, kind: str | None = None) -> FindingPlan | None:
    """Draw the parameters of a finding; None for category 1. Every category consumes the same random numbers."""
    choice, radius, depth, cc, mlo, contrast = rng.uniform(size=6)
    seed = int(rng.integers(2**31))
    kinds = FINDINGS_BY_CATEGORY[category]
    if not kinds:
        return None
    return FindingPlan(
        kind=kind or kinds[int(choice * len(kinds))],
        radius=0.085 + 0.04 * radius,
        depth=0.35 + 0.35 * depth,
        offset={"CC": 2 * cc - 1, "MLO": 2 * mlo - 1},
        contrast=contrast,
        seed=seed,
    )


def draw_finding(
    grey: np.ndarray, anatomy: Anatomy, plan: FindingPlan, view: str
) -> tuple[int, int, int, int]:
    """Draw the finding into ``grey`` in place and return its box (top, left, height, width) in pixels."""
    radius = plan.radius * anatomy.depth
    row, column = _location(anatomy, plan, view, radius)
    angle = float(np.arctan2(anatomy.nipple[0] - row, anatomy.nipple[1] - column))
    half = int(np.ceil(_REACH * radius))
    patch = Patch(radius, half, angle, np.random.default_rng([plan.seed, len(view)]))
    return _blend(grey, anatomy, _DRAW[plan.kind](patch), plan.contrast, round(row), round(column))


def _location(anatomy: Anatomy, plan: FindingPlan, view: str, radius: float) -> tuple[float, float]:
    """Return the row and column nearest to the plan where the finding clears skin, muscle and image edge."""
    height, width = anatomy.clearance.shape
    planned_row = anatomy.nipple[0] + plan.offset[view] * 0.22 * height
    planned_column = plan.depth * anatomy.depth
    step = 4
    rows = np.arange(0, height, step, dtype=np.float32)[:, None]
    columns = np.arange(0, width, step, dtype=np.float32)[None, :]
    clear = (anatomy.clearance[::step, ::step] > 1.7 * radius) & (columns > 1.7 * radius)
    distance = np.hypot(rows - planned_row, columns - planned_column)
    best = int(np.argmin(np.where(clear, distance, np.inf)))
    return float(best // columns.size * step), float(best % columns.size * step)


@dataclass(frozen=True)
class _Layers:
    """Opacity of a finding's soft tissue, fat and calcium, float32 arrays of the patch's shape, 0..1."""

    tissue: np.ndarray | None = None
    fat: np.ndarray | None = None
    calcium: np.ndarray | None = None


def _circumscribed(patch: Patch) -> _Layers:
    return _Layers(tissue=patch.filled(patch.oval()))


def _fat_containing(patch: Patch) -> _Layers:
    """Draw an oil cyst: fat within a thin rim."""
    border = patch.oval()
    outer, inner = patch.filled(border), patch.filled(border * 0.84)
    return _Layers(tissue=outer - inner, fat=inner)


def _microlobulated(patch: Patch) -> _Layers:
    """Draw an oval with small lobes along its border."""
    count = int(patch.rng.integers(8, 11))
    turns = (np.arange(count) + patch.rng.uniform(-0.2, 0.2, count)) * 2 * np.pi / count
    border = patch.oval(0.78)
    row, column = (np.round(patch.half + 0.4 * patch.radius * f(turns)).astype(int) for f in (np.sin, np.cos))
    reach = border[row, column]
    points = np.stack([reach * np.cos(turns), reach * np.sin(turns)], axis=1)
    lobes = patch.spots(points, patch.radius * patch.rng.uniform(0.26, 0.38, count), np.ones(count))
    return _Layers(tissue=np.maximum(patch.filled(border), lobes))


def _irregular(patch: Patch) -> _Layers:
    return _Layers(tissue=patch.filled(patch.angular(patch.oval(), 0.5)))


def _spiculated(patch: Patch) -> _Layers:
    """Draw a small irregular core with tapering spicules."""
    rng, radius = patch.rng, patch.radius
    layer = np.zeros(patch.rho.shape, np.uint8)
    count = int(rng.integers(24, 36))
    turns = (np.arange(count) + rng.uniform(-0.5, 0.5, count)) * 2 * np.pi / count
    for turn, length, bend, level in zip(
        turns,
        radius * rng.uniform(1.3, 2.4, count),
        rng.uniform(-0.25, 0.25, count),
        rng.uniform(0.45, 0.95, count),
        strict=True,
    ):
        along = np.linspace(0.3 * radius, length, 7)
        bent = turn + bend * (along / length) ** 2
        width = np.maximum(0.11 * radius * (1 - along / length) ** 0.8, 0.35)
        centre = np.stack([np.cos(bent), np.sin(bent)], axis=1) * along[:, None]
        normal = np.stack([-np.sin(bent), np.cos(bent)], axis=1) * width[:, None]
        patch.polygon(layer, np.concatenate([centre + normal, (centre - normal)[::-1]]), level)
    core = patch.filled(patch.angular(patch.oval(0.8), 0.25))
    return _Layers(tissue=np.maximum(core, layer.astype(np.float32) / 255))


def _coarse(patch: Patch) -> _Layers:
    """Draw popcorn calcifications: a few large dense lumps, each of six overlapping spots."""
    rng, radius = patch.rng, patch.radius
    count, spots = int(rng.integers(3, 6)), 6
    lumps = np.repeat(patch.within(count, 0.9 * _SPREAD), spots, axis=0)
    points = lumps + rng.normal(0, 0.16 * radius, lumps.shape)
    radii = radius * rng.uniform(0.15, 0.28, len(points))
    return _Layers(calcium=patch.spots(points, radii, rng.uniform(0.85, 1.0, len(points))))


def _amorphous(patch: Patch) -> _Layers:
    """Draw a group of many small hazy calcifications."""
    count = int(patch.rng.integers(50, 75))
    points = patch.within(count, _SPREAD)
    radii = patch.rng.uniform(0.7, 1.3, count) * max(0.065 * patch.radius, 0.8)
    return _Layers(calcium=patch.spots(points, radii, patch.rng.uniform(0.6, 1.0, count)))


def _branching(patch: Patch) -> _Layers:
    """Draw interrupted fine lines that fork like a duct and its branches."""
    rng, radius = patch.rng, patch.radius
    layer = np.zeros(patch.rho.shape, np.uint8)
    thickness = max(0.075 * radius, 1.4)
    for start in patch.within(int(rng.integers(5, 8)), 0.75 * _SPREAD):
        stem = patch.angle + np.pi + rng.normal(0, 0.35)
        fork = start + 0.55 * radius * rng.uniform(0.6, 1.2) * np.array([np.cos(stem), np.sin(stem)])
        _dashes(patch, layer, start, fork, thickness)
        for side in (-1, 1):
            turn = stem + side * rng.uniform(0.35, 0.75)
            end = fork + radius * rng.uniform(0.6, 1.0) * np.array([np.cos(turn), np.sin(turn)])
            _dashes(patch, layer, fork, end, thickness)
    return _Layers(calcium=layer.astype(np.float32) / 255)


def _fine(patch: Patch) -> _Layers:
    """Draw a dense group of grains of 3 to 5 pixels on a turned, slightly irregular grid.

    An irregular one would be denser here than there, which a small input shows as well.
    """
    rng, reach = patch.rng, _SPREAD * patch.radius
    steps = np.arange(-reach, reach, _APART)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    grid = grid[np.hypot(*grid.T) < reach - _APART]
    turn = rng.uniform(0, np.pi)
    turned = grid @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points = turned + rng.uniform(-_SHIFT, _SHIFT, grid.shape)
    radii = rng.uniform(*_GRAIN, len(points)) / 2
    return _Layers(calcium=patch.spots(points, radii, np.full(len(points), _FAINT)))


def _milk(patch: Patch) -> _Layers:
    """Draw the same group as :func:`_fine`, with as much calcium, smeared."""
    grains = _fine(patch).calcium
    assert grains is not None
    return _Layers(calcium=np.asarray(cv2.GaussianBlur(grains, (0, 0), _SMEAR)))


def _dashes(patch: Patch, layer: np.ndarray, start: np.ndarray, end: np.ndarray, thickness: float) -> None:
    """Draw a slightly bent line from start to end with one gap."""
    rng = patch.rng
    direction = (end - start) / np.hypot(*(end - start))
    normal = np.array([-direction[1], direction[0]]) * thickness / 2
    middle = (start + end) / 2 + normal * rng.uniform(-2, 2)
    gap = rng.uniform(0.35, 0.65)
    level = rng.uniform(0.75, 1.0)
    for first, last in ((0.0, gap - 0.06), (gap + 0.06, 1.0)):
        t = np.linspace(first, last, 5)[:, None]
        line = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
        patch.polygon(layer, np.concatenate([line + normal, (line - normal)[::-1]]), level)


_DRAW: dict[str, Callable[[Patch], _Layers]] = {
    "coarse calcifications": _coarse,
    "fat-containing mass": _fat_containing,
    "circumscribed mass": _circumscribed,
    "irregular mass": _irregular,
    "microlobulated mass": _microlobulated,
    "amorphous calcifications": _amorphous,
    "spiculated mass": _spiculated,
    "fine linear branching calcifications": _branching,
    "milk of calcium": _milk,
    "fine pleomorphic calcifications": _fine,
}


def _blend(
    grey: np.ndarray, anatomy: Anatomy, layers: _Layers, contrast: float, row: int, column: int
) -> tuple[int, int, int, int]:
    """Blend the layers, centred on (row, column), into the breast, and return the box of the changed pixels."""
    present = [layer for layer in (layers.tissue, layers.fat, layers.calcium) if layer is not None]
    changed = np.maximum.reduce(present)
    half = changed.shape[0] // 2
    top, left = max(row - half, 0), max(column - half, 0)
    bottom, right = min(row + half + 1, grey.shape[0]), min(column + half + 1, grey.shape[1])
    in_image = (slice(top, bottom), slice(left, right))
    in_patch = (
        slice(top - row + half, bottom - row + half),
        slice(left - column + half, right - column + half),
    )
    window, inside = grey[in_image], anatomy.inside[in_image]
    around = float((window * changed[in_patch]).sum() / changed[in_patch].sum())
    if layers.fat is not None:
        window += 0.85 * layers.fat[in_patch] * (0.16 - window)
    if layers.tissue is not None:
        tissue = layers.tissue[in_patch] * inside
        window += tissue * (0.55 * (around - window) + 0.24 + 0.12 * contrast)
    if layers.calcium is not None:
        window += layers.calcium[in_patch] * inside * (0.45 + 0.2 * contrast)
    rows, columns = np.nonzero(changed[in_patch] * inside > 0.05)
    return top + int(rows.min()), left + int(columns.min()), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
