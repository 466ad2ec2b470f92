"""Expected calibration error (ECE), Brier score, and the bins of a reliability diagram."""

from dataclasses import dataclass

import numpy as np

from birads_app.model.metrics import BINS, bin_of
from training.evaluation.bootstrap import BootstrapSamples, Interval, interval


@dataclass(frozen=True)
class ReliabilityBin:
    """Images whose predicted category has a probability in one tenth of the scale.

    confidence : mean probability of the predicted category
    accuracy : share of the images for which it is the true one
    """

    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Agreement of probabilities with observed frequencies.

    ece : expected calibration error of the predicted category in ten equal bins (Guo et al., On Calibration of
        Modern Neural Networks, ICML 2017)
    brier : multi-class Brier score, 0 best, 2 worst
    bins : of the reliability diagram, those that hold an image, rising
    """

    ece: Interval
    brier: Interval
    bins: tuple[ReliabilityBin, ...]


def calibration(probabilities: np.ndarray, labels: np.ndarray, samples: BootstrapSamples) -> Calibration:
    """Meaconfidence probabilities (n, classes) against the true categories, int (n,).

    The ECE cannot be negative and is biased upwards for few images; its interval shows how it varies, not whether it
    differs from 0.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    place = bin_of(confidence)
    gaps = samples.sums(place, BINS, correct - confidence)
    squares = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1)
    everywhere = np.zeros(len(labels), int)
    images = samples.sums(everywhere, 1)[:, 0]
    return Calibration(
        ece=interval(np.abs(gaps).sum(axis=1) / images),
        brier=interval(samples.sums(everywhere, 1, squares)[:, 0] / images),
        bins=tuple(
            _bin(confidence[place == number], correct[place == number]) for number in np.unique(place)
        ),
    )


def _bin(confidence: np.ndarray, correct: np.ndarray) -> ReliabilityBin:
    return ReliabilityBin(len(confidence), float(confidence.mean()), float(correct.mean()))
