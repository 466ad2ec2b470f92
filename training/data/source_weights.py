"""Weights of the sources of a data set in the training, such as ``hospital=2,collection=0.5``."""

from collections.abc import Sequence

import numpy as np

from training.data import weight_pairs
from training.errors import TrainingError


def values(text: str, sources: Sequence[str]) -> np.ndarray | None:
    """Return the weight of each image, float (n,); None if all are 1.

    Parameters
    ----------
    text : pairs of source and weight, separated by commas; sources that are not named have the weight 1
    sources : source of each of the n images; empty if unknown

    Raises
    ------
    TrainingError
        The weights cannot be read, or name a source that no image has.
    """
    if not text:
        return None
    pairs = weight_pairs.read(text)
    if pairs is None:
        raise TrainingError(
            "--source-weights has to be weights above 0 by source, each source once, such as hospital=2,"
            f"collection=0.5. Got {text!r}."
        )
    known = {source for source in sources if source}
    if unknown := sorted(set(pairs) - known):
        found = f"the sources are {', '.join(sorted(known))}" if known else "no image has a source"
        raise TrainingError(
            f"--source-weights names {', '.join(unknown)}, but {found} (column source of the table of labels)."
        )
    return np.array([pairs.get(source, 1.0) for source in sources])
