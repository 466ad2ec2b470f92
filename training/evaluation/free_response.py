"""Free-response curve (FROC) of a model's marks: findings that are marked, against false marks an image.

A mark hits a finding if its centre lies in the finding's outline, widened by half a cell of the feature map. Intervals
are bootstrapped over patients.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from birads_app.model import marks
from birads_app.model.marks import Peak
from birads_app.model.occlusion import breast_cells
from training.data.loader import LoadedImage
from training.data.prepared_images import PreparedImages
from training.evaluation.bootstrap import BootstrapSamples, Interval, interval, ratio

# False marks an image at which the sensitivity is stated.
RATES = (0.5, 1.0, 2.0)
# Points of the curve, and share of a pixel that a finding has to cover.
_POINTS, _COVERED = 200, 64
_READ_AT_ONCE = 64


@dataclass(frozen=True)
class JudgedImage:
    """Marks of an image, compared with the outlines of its findings.

    findings : number of findings
    best : for each finding that is hit, the highest score of its marks
    false : scores of the marks that hit none
    on_finding : True if the highest mark's highest cell lies on a finding; None without a finding
    """

    findings: int
    best: tuple[float, ...]
    false: tuple[float, ...]
    on_finding: bool | None


@dataclass(frozen=True)
class FreeResponse:
    """Free-response figures of test images whose findings are known.

    sensitivity : share of the findings that are marked, by the false marks an image
    peak : share of the images with a finding whose highest place lies on one
    curve : false marks an image and sensitivity at falling thresholds
    threshold, at_threshold : lowest score of the model's marks; false marks an image and sensitivity there
    """

    images: int
    patients: int
    findings: int
    sensitivity: dict[str, Interval]
    peak: Interval
    curve: dict[str, list[float]]
    threshold: float
    at_threshold: dict[str, Interval]

    def as_dict(self) -> dict[str, Any]:
        """Convert for ``evaluation.json``."""
        return asdict(self)


def peaks_of(
    images: Sequence[LoadedImage], prepared: PreparedImages, activation: np.ndarray
) -> list[tuple[Peak, ...]]:
    """Return the peaks of images.

    Parameters
    ----------
    images, prepared : n loaded images, and what contains them
    activation : float (n, rows, columns), of the location head in each cell
    """
    found = []
    for start in range(0, len(images), _READ_AT_ONCE):
        inputs = prepared.inputs([one.digest for one in images[start : start + _READ_AT_ONCE]])
        for one, values in zip(inputs, activation[start : start + len(inputs)], strict=True):
            found.append(marks.peaks(values, breast_cells(one.breast_mask, *values.shape)))
    return found


def judge_images(
    images: Sequence[LoadedImage], prepared: PreparedImages, activation: np.ndarray
) -> tuple[list[JudgedImage], list[str]]:
    """Compare marks with the outlines of a data set; return the images whose findings are known, and their patients.

    Parameters
    ----------
    images, prepared : n loaded images, and what contains them
    activation : float (n, rows, columns), of the location head in each cell
    """
    places = [place for place, one in enumerate(images) if one.findings_known]
    known = [images[place] for place in places]
    judged = []
    for start in range(0, len(known), _READ_AT_ONCE):
        part = slice(start, start + _READ_AT_ONCE)
        peaks = peaks_of(known[part], prepared, activation[places[part]])
        outlines = prepared.outlines([one.outline for one in known[part]])
        judged += [judge(*each, activation.shape[1:]) for each in zip(peaks, outlines, strict=True)]
    return judged, [one.example.patient for one in known]


def judge(peaks: Sequence[Peak], outline: np.ndarray, map_shape: tuple[int, ...]) -> JudgedImage:
    """Compare the peaks of an image, highest first, with its outlines, uint8 (height, width)."""
    count, labels = cv2.connectedComponents((outline >= _COVERED).astype(np.uint8))
    cell = outline.shape[0] / map_shape[0], outline.shape[1] / map_shape[1]
    kernel = np.ones([1 + 2 * round(side / 2) for side in cell], np.uint8)
    widened = [cv2.dilate((labels == one).astype(np.uint8), kernel) for one in range(1, count)]

    def hit(centre: tuple[float, float]) -> list[int]:
        row, column = (int(place * side) for place, side in zip(centre, cell, strict=True))
        at = min(row, outline.shape[0] - 1), min(column, outline.shape[1] - 1)
        return [number for number, one in enumerate(widened) if one[at]]

    best: dict[int, float] = {}
    false = []
    for peak in peaks:
        found = hit(peak.centre)
        for number in found:
            best.setdefault(number, peak.score)
        if not found:
            false.append(peak.score)
    on_finding = bool(peaks and hit((peaks[0].row + 0.5, peaks[0].column + 0.5))) if widened else None
    return JudgedImage(len(widened), tuple(best.values()), tuple(false), on_finding)


def measure(
    judged: Sequence[JudgedImage],
    patients: Sequence[str] | np.ndarray,
    threshold: float,
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> FreeResponse | None:
    """Compute the figures; None if no image has a finding.

    Parameters
    ----------
    judged, patients : n images, and the patient of each
    threshold : lowest score of the model's marks
    """
    findings = np.array([one.findings for one in judged], float)
    if not findings.sum():
        return None
    samples = BootstrapSamples.of(patients, replicates, seed)
    hits = _events(judged, [one.best for one in judged])
    false = _events(judged, [one.false for one in judged])
    steps = _thresholds(np.concatenate([hits[1], false[1]]), threshold)
    marked, wrong = (_at_least(samples, *events, steps) for events in (hits, false))
    one_cell = np.zeros(len(judged), int)
    images = samples.sums(one_cell, 1)
    sensitivity = ratio(marked, np.broadcast_to(samples.sums(one_cell, 1, findings), marked.shape))
    rates = ratio(wrong, np.broadcast_to(images, wrong.shape))
    at = int(np.flatnonzero(steps == threshold)[0])
    some = np.array([one.on_finding is not None for one in judged])
    return FreeResponse(
        len(judged),
        samples.patients,
        int(findings.sum()),
        {f"{rate:g}": interval(_at_rate(sensitivity, rates, rate)) for rate in RATES},
        samples.share(np.array([bool(one.on_finding) for one in judged]), some),
        {"false_marks": rates[0].tolist(), "sensitivity": sensitivity[0].tolist()},
        threshold,
        {"false_marks": interval(rates[:, at]), "sensitivity": interval(sensitivity[:, at])},
    )


def _events(
    judged: Sequence[JudgedImage], scores: Sequence[tuple[float, ...]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image of each score, int (m,), and the scores, float (m,)."""
    of_image = np.repeat(np.arange(len(judged)), [len(one) for one in scores])
    return of_image, np.array([score for one in scores for score in one], float)


def _thresholds(scores: np.ndarray, own: float) -> np.ndarray:
    """Return falling thresholds from above all scores to the lowest, the model's own among them."""
    quantiles = np.quantile(scores, np.linspace(0, 1, _POINTS)) if len(scores) else []
    return np.unique([*quantiles, own, 2.0])[::-1]


def _at_least(
    samples: BootstrapSamples, of_image: np.ndarray, scores: np.ndarray, steps: np.ndarray
) -> np.ndarray:
    """Count the scores that reach each threshold, float (1 + replicates, steps)."""
    events = BootstrapSamples(samples.group[of_image], samples.patients, samples.replicates, samples.seed)
    # The first of the falling thresholds that a score reaches.
    first = np.searchsorted(-steps, -scores)
    return np.cumsum(events.sums(np.where(first < len(steps), first, -1), len(steps)), axis=1)


def _at_rate(sensitivity: np.ndarray, rates: np.ndarray, rate: float) -> np.ndarray:
    """Return the highest sensitivity with at most so many false marks an image, float (1 + replicates,)."""
    last = (rates <= rate).sum(axis=1) - 1
    return np.take_along_axis(sensitivity, last[:, None], axis=1)[:, 0]
