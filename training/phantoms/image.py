"""Phantom: a synthetic mammogram with a finding of the BI-RADS lexicon and its ground truth.

Anatomy, density and acquisition have the same distribution for every category, and so have the location, size and
contrast of the finding: categories differ by the morphology of the finding only.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from training.errors import TrainingError
from training.phantoms.anatomy import ASPECT, DENSITIES, VIEWS, Habitus, draw_anatomy, draw_habitus
from training.phantoms.synthetic_findings import FINDINGS_BY_CATEGORY, FINE_FINDINGS, draw_finding, draw_plan

LATERALITIES = ("L", "R")
CATEGORIES = tuple(FINDINGS_BY_CATEGORY)
# White in 12 bits, the depth of full-field detectors.
WHITE = 4095
_MIN_SIZE = 64


class PhantomError(TrainingError, ValueError):
    """The requested phantom cannot be drawn."""


@dataclass(frozen=True)
class PhantomFinding:
    """A finding: its kind and its box (top, left, height, width) in pixels, including spicules or the whole cluster."""

    kind: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Phantom:
    """A synthetic mammogram with its ground truth.

    pixels : uint16 array of shape (height, width), 0 air .. 4095 white (MONOCHROME2, for presentation)
    """

    pixels: np.ndarray
    category: str
    view: str
    laterality: str
    density: str
    findings: tuple[PhantomFinding, ...]

    @property
    def outline(self) -> np.ndarray:
        """Outline of the findings, an ellipse in each box: uint8 of the shape of the pixels, 255 inside, else 0."""
        mask = np.zeros(self.pixels.shape, np.uint8)
        for finding in self.findings:
            top, left, height, width = finding.box
            cv2.ellipse(mask, ((left + width / 2, top + height / 2), (width, height), 0), 255, cv2.FILLED)
        return mask


def phantom(
    rng: np.random.Generator,
    category: str,
    view: str,
    laterality: str,
    density: str,
    size: int = 512,
    *,
    kind: str | None = None,
    habitus: Habitus | None = None,
    film_label: bool = False,
) -> Phantom:
    """Draw one image; generators with the same seed give two views of the same breast.

    Parameters
    ----------
    rng : source of all randomness
    category, view, laterality, density : "1".."5", "CC" or "MLO", "L" or "R", "A".."D"
    size : height in pixels, at least 64; the width is 0.8 of it
    kind : one of the category's :data:`~training.phantoms.synthetic_findings.FINDINGS_BY_CATEGORY`, or of the
        ``FINE_FINDINGS`` beside them; random among the former if None
    habitus : the patient's body measures; random if None
    film_label : burn view and side into the background, as on scanned film

    Raises
    ------
    PhantomError
        An argument has another value.
    """
    _check(category, view, laterality, density, size, kind)
    plan = draw_plan(rng, category, kind)
    habitus = habitus or draw_habitus(rng)
    rng = np.random.default_rng([int(rng.integers(2**31)), VIEWS.index(view)])
    anatomy = draw_anatomy(rng, habitus, view, density, size)
    grey = anatomy.grey.copy()
    findings: tuple[PhantomFinding, ...] = ()
    if plan is not None:
        findings = (PhantomFinding(plan.kind, draw_finding(grey, anatomy, plan, view)),)
    pixels = np.zeros((size, round(size * ASPECT)), np.uint16)
    pixels[:, : grey.shape[1]] = _acquire(rng, grey, anatomy.inside, habitus)
    if laterality == "R":
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        findings = tuple(_mirror(finding, pixels) for finding in findings)
    if film_label:
        _burn_label(pixels, f"{laterality} {view}", left=laterality == "R")
    return Phantom(pixels, category, view, laterality, density, findings)


def _check(category: str, view: str, laterality: str, density: str, size: int, kind: str | None) -> None:
    for name, value, known in (
        ("category", category, CATEGORIES),
        ("view", view, VIEWS),
        ("laterality", laterality, LATERALITIES),
        ("density", density, DENSITIES),
    ):
        if value not in known:
            raise PhantomError(f"The {name} of a phantom must be one of {', '.join(known)}. Got {value!r}.")
    if size < _MIN_SIZE:
        raise PhantomError(f"A phantom must be at least {_MIN_SIZE} pixels high. Got {size}.")
    if kind not in (None, *FINDINGS_BY_CATEGORY[category], FINE_FINDINGS.get(category)):
        raise PhantomError(
            f"A finding of category {category} must be one of {FINDINGS_BY_CATEGORY[category]}. Got {kind!r}."
        )


def _acquire(rng: np.random.Generator, grey: np.ndarray, inside: np.ndarray, habitus: Habitus) -> np.ndarray:
    """Apply gain, quantum noise and gamma, and return uint16, 0..4095; air stays black."""
    noise = rng.standard_normal(grey.shape, dtype=np.float32)
    noisy = np.clip(grey * habitus.gain + 0.012 * noise * inside, 0, 1)
    curve = np.linspace(0, 1, WHITE + 1) ** habitus.gamma * WHITE
    return np.take(np.round(curve).astype(np.uint16), (noisy * WHITE + 0.5).astype(np.uint16))


def _mirror(finding: PhantomFinding, pixels: np.ndarray) -> PhantomFinding:
    top, left, height, width = finding.box
    return PhantomFinding(finding.kind, (top, pixels.shape[1] - left - width, height, width))


def _burn_label(pixels: np.ndarray, text: str, left: bool) -> None:
    """Write view and side into the upper corner away from the chest wall, in place."""
    scale = pixels.shape[0] / 700
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
    margin = round(0.02 * pixels.shape[0])
    column = margin if left else pixels.shape[1] - width - margin
    letters = np.zeros(pixels.shape, np.uint8)
    cv2.putText(
        letters, text, (column, margin + height), cv2.FONT_HERSHEY_SIMPLEX, scale, (1,), 2, cv2.LINE_8
    )
    pixels[letters > 0] = round(0.9 * WHITE)
