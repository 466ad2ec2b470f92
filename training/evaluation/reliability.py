"""Does a probability mean what it says? Calibration error, Brier score, and the bins of a reliability diagram."""

from dataclasses import dataclass

import numpy as np

from birads_app.model.metrics import BINS, bin_of
from training.evaluation.bootstrap import BootstrapSamples, Interval, interval


@dataclass(frozen=True)
class ReliabilityBin:
    """Images whose named category has a probability between two tenths.

    sure : mean probability of the named category
    right : share of the images for which it is the true one
    """

    images: int
    sure: float
    right: float


@dataclass(frozen=True)
class Calibration:
    """How probabilities agree with what happens.

    ece : expected calibration error of the named category in ten equal bins (Guo et al., On Calibration of
        Modern Neural Networks, ICML 2017)
    brier : multi-class Brier score, 0 best, 2 worst
    bins : of the reliability diagram, those that hold an image, rising
    """

    ece: Interval
    brier: Interval
    bins: tuple[ReliabilityBin, ...]


def calibration(probabilities: np.ndarray, labels: np.ndarray, samples: BootstrapSamples) -> Calibration:
    """Measure probabilities (n, classes) against the true categories, int (n,).

    An expected calibration error cannot be negative, so that few images alone make it large; its interval
    tells how it varies, not whether it differs from 0.
    """
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = bin_of(sure)
    gaps = samples.sums(place, BINS, right - sure)
    squares = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1)
    everywhere = np.zeros(len(labels), int)
    images = samples.sums(everywhere, 1)[:, 0]
    return Calibration(
        ece=interval(np.abs(gaps).sum(axis=1) / images),
        brier=interval(samples.sums(everywhere, 1, squares)[:, 0] / images),
        bins=tuple(_bin(sure[place == number], right[place == number]) for number in np.unique(place)),
    )


def _bin(sure: np.ndarray, right: np.ndarray) -> ReliabilityBin:
    return ReliabilityBin(len(sure), float(sure.mean()), float(right.mean()))
