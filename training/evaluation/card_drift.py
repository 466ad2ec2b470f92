"""Drift: figures on an external test set against those on a model's card.

The two sets have different patients and are independent. The interval of a difference follows from the intervals of the
two figures by the method of variance estimates recovery (Zou and Donner, Construction of confidence limits about
effect measures: a general approach, Statistics in Medicine 27, 2008), so that the card's images are not needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.evaluation.bootstrap import Interval

# Figures that are compared: the name of each, and its place in an evaluation record.
_PLACES: dict[str, tuple[str, ...]] = {
    **{
        name: ("figures", name) for name in ("accuracy", "precision", "recall", "f1", "kappa", "kappa_from_3")
    },
    **{name: ("screening", name) for name in ("sensitivity", "specificity", "ppv", "recall_rate", "auc")},
    "ece": ("after", "ece"),
    "brier": ("after", "brier"),
    "coverage": ("prediction_sets", "patients"),
}


@dataclass(frozen=True)
class FigureDrift:
    """One figure on both sets; ``difference`` is the one here minus that of the card."""

    card: Interval
    here: Interval
    difference: Interval

    @property
    def differs(self) -> bool:
        """True if the interval of the difference excludes 0."""
        return self.difference.low > 0 or self.difference.high < 0


@dataclass(frozen=True)
class CardDrift:
    """Drift against one test set of the card.

    test_set : its name; empty if the card has one only
    images, patients : of the card's test set
    figures : by name, those that both have
    true_shares, predicted_shares : by category of the model, its share of the images there and here, 0 to 1
    """

    test_set: str
    images: int
    patients: int
    figures: dict[str, FigureDrift]
    true_shares: dict[str, tuple[float, float]]
    predicted_shares: dict[str, tuple[float, float]]

    @property
    def differing(self) -> tuple[str, ...]:
        """Names of the figures whose difference is more than chance."""
        return tuple(name for name, one in self.figures.items() if one.differs)

    def as_dict(self) -> dict[str, Any]:
        """Convert for the record of an external evaluation."""
        return {**asdict(self), "differing": list(self.differing)}


def compare(test_set: str, card: Mapping[str, Any], here: Mapping[str, Any]) -> CardDrift:
    """Compare the record of an evaluation with that of a test set of the card.

    Parameters
    ----------
    card, here : as :meth:`training.evaluation.evaluate.Evaluation.as_dict` returns them; the former may be of an
        earlier version and lack figures
    """
    figures = {
        name: FigureDrift(before, now, difference(before, now))
        for name, place in _PLACES.items()
        if (before := _figure(card, place)) and (now := _figure(here, place))
    }
    confusions = np.array(card["confusion"]), np.array(here["confusion"])
    return CardDrift(
        test_set,
        int(card["images"]),
        int(card["patients"]),
        figures,
        *(dict(_shares(here["classes"], confusions, axis)) for axis in (1, 0)),
    )


def difference(before: Interval, now: Interval) -> Interval:
    """Return ``now`` minus ``before`` for figures of independent patients."""
    value = now.value - before.value
    below = np.hypot(now.value - now.low, before.high - before.value)
    above = np.hypot(now.high - now.value, before.value - before.low)
    return Interval(value, float(value - below), float(value + above))


def _figure(record: Mapping[str, Any], place: Sequence[str]) -> Interval | None:
    """Return a figure of a record; None if it lacks the figure."""
    found: Any = record
    for key in place:
        found = found.get(key) if isinstance(found, Mapping) else None
    return Interval(**found) if found else None


def _shares(
    classes: Sequence[str], confusions: Sequence[np.ndarray], axis: int
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the share of each category in the rows (``axis`` 1) or columns (0) of the card's matrix and of ours."""
    card, here = (matrix.sum(axis=axis) / matrix.sum() for matrix in confusions)
    for code, before, now in zip(classes, card, here, strict=True):
        yield code, (float(before), float(now))
