"""Aggregate predictions of views into predictions of breasts and of the exam.

A breast's probabilities are pooled from those of its views by the rule in the model's bundle
(:mod:`training.evaluation.per_breast` chooses it). The exam's category is that of the more suspicious breast (the
index breast), in the order of the BI-RADS final assessment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from birads_app.model.image_prediction import ImagePrediction
from birads_app.terms.hanging import View
from birads_app.terms.views import SIDES, STANDARD_VIEWS

# From the least to the most urgent: the overall assessment of an exam follows its worst finding. A 4 without
# subdivision may be any of them; it ranks just above 4A.
PRESSING = ("1", "2", "3", "6", "0", "4A", "4", "4B", "4C", "5")
# Categories with tissue diagnosis as management; their probabilities are summed to p_suspicious.
SUSPICIOUS = ("4", "5")


def _mean(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(probabilities.mean(axis=0))


def _product(probabilities: np.ndarray) -> np.ndarray:
    logs = np.log(np.maximum(probabilities, 1e-9)).mean(axis=0)
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


def _worst(probabilities: np.ndarray) -> np.ndarray:
    expected = probabilities @ np.arange(probabilities.shape[1])
    return np.asarray(probabilities[int(expected.argmax())])


# float (views, classes), classes in rising order of suspicion -> float (classes,). The mean is the linear, the
# product the logarithmic pool of opinions (Genest and Zidek, Statistical Science 1, 1986).
POOLING: dict[str, Callable[[np.ndarray], np.ndarray]] = {"mean": _mean, "product": _product, "worst": _worst}
DEFAULT_POOLING = "mean"


class PredictedView(View, Protocol):
    """An image with its prediction.

    standard : False for special views, other images and unknown ones, which are left out
    """

    @property
    def prediction(self) -> ImagePrediction: ...

    @property
    def standard(self) -> bool: ...


@dataclass(frozen=True)
class BreastPrediction:
    """Prediction of one breast.

    laterality : None for all images of unknown side together
    views : views that were pooled; None for an unknown one
    missing : standard views that the exam lacks
    """

    laterality: str | None
    category: str
    probabilities: dict[str, float]
    views: tuple[str | None, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class ExamPrediction:
    """Prediction of an exam.

    category : of the index breast, the more suspicious one
    breasts : right, left, then unknown, as far as there are images
    absent : sides without any standard image
    left_out : number of images that were left out
    """

    category: str
    breasts: tuple[BreastPrediction, ...]
    absent: tuple[str, ...]
    left_out: int

    @property
    def index_breast(self) -> BreastPrediction:
        """The breast that determines the exam's category; of two, the one with the higher probability of it."""
        named = [breast for breast in self.breasts if breast.category == self.category]
        return max(named, key=lambda breast: breast.probabilities[self.category])

    @property
    def p_suspicious(self) -> float:
        """Probability of category 4 or higher in the more suspicious breast, 0..1."""
        return max(sum(breast.probabilities.get(code, 0.0) for code in SUSPICIOUS) for breast in self.breasts)


def pool(probabilities: Sequence[Mapping[str, float]], pooling: str) -> dict[str, float]:
    """Pool the probabilities of at least one view; raises KeyError for an unknown rule."""
    codes = list(probabilities[0])
    values = np.array([[one[code] for code in codes] for one in probabilities])
    return dict(zip(codes, POOLING[pooling](values).tolist(), strict=True))


def aggregate(views: Sequence[PredictedView], pooling: str) -> ExamPrediction | None:
    """Aggregate an exam's views; returns None if none of them is a standard view."""
    standard = [view for view in views if view.standard]
    breasts = tuple(
        _breast(side, images, pooling)
        for side in (*SIDES, None)
        if (images := [view for view in standard if view.laterality == side])
    )
    if not breasts:
        return None
    known = {breast.laterality for breast in breasts}
    absent = tuple(side for side in SIDES if side not in known) if None not in known else ()
    category = max((breast.category for breast in breasts), key=PRESSING.index)
    return ExamPrediction(category, breasts, absent, len(views) - len(standard))


def _breast(laterality: str | None, images: Sequence[PredictedView], pooling: str) -> BreastPrediction:
    probabilities = pool([image.prediction.probabilities for image in images], pooling)
    shown = {image.view for image in images}
    missing = tuple(view for view in STANDARD_VIEWS if view not in shown) if None not in shown else ()
    category = max(probabilities, key=probabilities.__getitem__)
    views = tuple(image.view for image in images)
    return BreastPrediction(laterality, category, probabilities, views, missing if laterality else ())
