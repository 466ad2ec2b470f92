"""Sets of a split that a table of labels binds patients to."""

from collections.abc import Sequence

from birads_app.terms.counts import counted
from training.errors import DatasetError

TRAINING, TEST = "training", "test"


def check(parts: Sequence[str], patients: Sequence[str]) -> None:
    """Raise DatasetError for a part that there is none of, and for a patient who is bound to both.

    Parameters
    ----------
    parts, patients : of n images; a part is empty if the table leaves it open
    """
    if other := sorted(set(parts) - {"", TRAINING, TEST}):
        raise DatasetError(f"The column part has to be {TRAINING}, {TEST} or empty. Got {', '.join(other)}.")
    bound = [
        {patient for part, patient in zip(parts, patients, strict=True) if part == name}
        for name in (TRAINING, TEST)
    ]
    if both := bound[0] & bound[1]:
        raise DatasetError(
            f"Images of {counted(len(both), 'patient')} are bound to {TRAINING} and {TEST}. Correct the column part."
        )
