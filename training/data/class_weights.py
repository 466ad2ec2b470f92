"""Weights of categories in the loss: ``none``, ``balanced``, or a list such as ``4=2,5=3``."""

from collections.abc import Sequence

import numpy as np

from birads_app.terms.categories import CATEGORIES
from training.config import BALANCED_WEIGHTS, NO_WEIGHTS
from training.data import weight_pairs
from training.errors import TrainingError


def check(text: str, head: str, is_network: bool, network_heads: str) -> None:
    """Raise TrainingError for unreadable weights, or a head that takes none; ``network_heads`` names those that do."""
    given = _pairs(text)
    if not is_network and (given or text == BALANCED_WEIGHTS):
        raise TrainingError(
            f"The head {head} does not support --class-weights. Choose one of: {network_heads}."
        )


def values(text: str, classes: Sequence[str], labels: np.ndarray) -> tuple[float, ...]:
    """Return the weight of each category; empty if all are 1.

    Parameters
    ----------
    classes : categories in the order of the labels
    labels : int (n,), of the training set; balanced weights have the mean 1 over these

    Raises
    ------
    TrainingError
        The weights cannot be read, or name a category that is not trained on.
    """
    if text == BALANCED_WEIGHTS:
        counts = np.bincount(labels, minlength=len(classes))
        present = np.count_nonzero(counts)
        return tuple(len(labels) / (present * max(1, int(count))) for count in counts)
    given = _pairs(text)
    if unknown := sorted(set(given) - set(classes)):
        raise TrainingError(
            f"--class-weights names category {', '.join(unknown)}, but the categories are {', '.join(classes)}."
        )
    return tuple(given.get(code, 1.0) for code in classes) if given else ()


def _pairs(text: str) -> dict[str, float]:
    """Read weights by category; empty for ``none`` and ``balanced``."""
    if text in (NO_WEIGHTS, BALANCED_WEIGHTS):
        return {}
    pairs = weight_pairs.read(text)
    if pairs is None or set(pairs) - set(CATEGORIES):
        raise TrainingError(
            "--class-weights has to be none, balanced, or weights above 0 by category, each category once, such as "
            f"4=2,5=3. Got {text!r}."
        )
    return pairs
