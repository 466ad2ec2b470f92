"""Patient of each image, needed to split by patient.

Sources, in this order: a table beside the images, the user's pattern on the file's path, known file name patterns.
Failing these, :mod:`training.data.dataset` takes the DICOM header, once the file is read.
"""

import os
import re
import unicodedata
from pathlib import Path

from training.data import label_tables
from training.errors import DatasetError

# File name patterns of known collections.
_NAME_PATTERNS = (
    re.compile(r"(?:^|_)(BC\d{6})(?=_|\.)"),  # KAU-BCMD: 2013_BC000541_ CC_L.jpg
    re.compile(r"^(P\d+)_[LR]_"),  # CDD-CESM: P102_R_DM_CC.jpg
    re.compile(r"^(PH\d+)_"),  # this project's phantoms: PH0001_L_CC.png
    re.compile(r"(?:^|_)(P_\d{5})(?=_|\.)"),  # CBIS-DDSM: Calc-Test_P_00038_LEFT_CC.dcm
    re.compile(r"^([A-D]_\d{4})(?=_|\.)"),  # DDSM: A_1123_RIGHT_CC.png
)


class PatientFinder:
    """Patients of the images below one folder.

    notes : messages about tables at the top of the folder that are not used, and why
    """

    def __init__(self, data: Path, pattern: str | None = None) -> None:
        """Read the tables in ``data``.

        Raises
        ------
        DatasetError
            ``pattern`` is not a regular expression, a table cannot be read, or one gives an image two patients.
        """
        self._data = data
        self._pattern = _compiled(pattern) if pattern else None
        self._table, self.notes = _read_tables(data)

    def find(self, path: Path) -> str | None:
        """Return the patient ID, or None if no source has one."""
        relative = Path(os.path.relpath(path, self._data)).as_posix()
        return (
            self._table.get(label_tables.nfc(relative))
            or self._table.get(label_tables.nfc(path.name))
            or self._by_pattern(relative)
            or from_name(path.name)
        )

    def _by_pattern(self, relative: str) -> str | None:
        """Match of the user's pattern in the relative path: its group, or all of it without a group."""
        match = self._pattern.search(relative) if self._pattern else None
        return match[match.re.groups and 1] if match else None


def normalise(patient: str) -> str:
    """Return an ID in the form in which IDs are compared: without case, blanks and leading zeros of numbers."""
    letters = re.sub(r"\s+", "", unicodedata.normalize("NFKC", patient)).casefold()
    return re.sub(r"(?<!\d)0+(?=\d)", "", letters)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise DatasetError(f"--patient-pattern is not a regular expression: {error}.") from error


def from_name(filename: str) -> str | None:
    """Return the patient ID in a file name of a known collection, or None."""
    for pattern in _NAME_PATTERNS:
        match = pattern.search(filename)
        if match:
            return match.group(1)
    return None


def _read_tables(data: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Patients by relative path and by unambiguous file name, from every CSV at the top, and notes on unused tables."""
    patients: dict[str, str] = {}
    by_name: dict[str, dict[str, str]] = {}
    notes = []
    for path in sorted(data.glob("*.csv")):
        table = label_tables.load(path)
        if not {"path", "patient"} <= set(table.columns):
            if "birads" not in table.columns:  # a label table is not expected to name patients
                notes.append(f"{path.name} is not used: it has no columns path and patient.")
            continue
        for row in table.rows:
            file, patient = label_tables.nfc(row.cells.get("path", "")), row.cells.get("patient", "")
            if not file:
                continue
            file = os.path.normpath(file)
            by_name.setdefault(file.rsplit("/", 1)[-1], {})[normalise(patient)] = patient
            if patient and normalise(patients.setdefault(file, patient)) != normalise(patient):
                raise DatasetError(
                    f"{path.name}, line {row.line}: {file} has another patient in an earlier row."
                )
    for name, found in by_name.items():
        if len(found) > 1:
            patients.pop(name, None)
        elif patient := next(iter(found.values())):
            patients.setdefault(name, patient)
    return patients, tuple(notes)
