"""Elements of a header as finite numbers."""

import numpy as np
from pydicom.dataset import Dataset

from birads_app.imaging.dicom.parser import texts


def real(dataset: Dataset, keyword: str) -> float | None:
    """Return an element's first value as a finite number, else None."""
    found = reals(dataset, keyword)
    return found[0] if found else None


def reals(dataset: Dataset, keyword: str) -> list[float | None]:
    """Return an element's values as finite numbers; None for one that is none."""
    return [_number(value) for value in texts(dataset, keyword)]


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
