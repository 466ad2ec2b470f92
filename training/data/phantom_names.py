"""File names of phantoms, by which a data set shows that it has some."""

import re
from pathlib import Path

_NAME = re.compile(r"PH\d{4,}_[LR]_(CC|MLO)")


def patient_id(number: int) -> str:
    """Return the ID of a synthetic patient, counted from 1."""
    return f"PH{number:04d}"


def stem(patient: str, laterality: str, view: str) -> str:
    """Return the name of a phantom's file, without its extension."""
    return f"{patient}_{laterality}_{view}"


def is_phantom(path: Path) -> bool:
    """Return True if a file is named like a phantom."""
    return _NAME.fullmatch(path.stem) is not None
