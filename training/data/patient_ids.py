"""Whose image is it? Parts of a split must not share a patient, so this is asked before anything is learned.

The answer comes from a table beside the images, else from the file's path by a pattern that the user gives,
else from its name where its pattern is a known one, else from the DICOM header.
"""

import csv
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from training.errors import DatasetError

# How known collections write the patient into the file's name.
_NAME_PATTERNS = (
    re.compile(r"(?:^|_)(BC\d{6})(?=_|\.)"),  # KAU-BCMD: 2013_BC000541_ CC_L.jpg
    re.compile(r"^(P\d+)_[LR]_"),  # CDD-CESM: P102_R_DM_CC.jpg
    re.compile(r"^(PH\d+)_"),  # this project's phantoms: PH0001_L_CC.png
    re.compile(r"(?:^|_)(P_\d{5})(?=_|\.)"),  # CBIS-DDSM: Calc-Test_P_00038_LEFT_CC.dcm
    re.compile(r"^([A-D]_\d{4})(?=_|\.)"),  # DDSM: A_1123_RIGHT_CC.png
)
_FILE_COLUMNS = ("path", "file", "filename", "image")
_PATIENT_COLUMNS = ("patient", "patient_id", "patientid", "case", "case_id")


class PatientFinder:
    """Finds the patients of the images below one folder."""

    def __init__(self, data: Path, pattern: str | None = None) -> None:
        """Read the tables in ``data``; raises DatasetError where ``pattern`` is no regular expression."""
        self._data = data
        self._pattern = _compiled(pattern) if pattern else None
        self._table = _read_tables(data)

    def find(self, path: Path) -> str | None:
        """The patient's id, or None where nothing tells."""
        relative = Path(os.path.relpath(path, self._data)).as_posix()
        return (
            self._table.get(relative)
            or self._table.get(path.name)
            or self._by_pattern(relative)
            or from_name(path.name)
            or _from_header(path)
        )

    def _by_pattern(self, relative: str) -> str | None:
        """What the user's pattern finds in the path below the data: its group, or all where it has none."""
        found = self._pattern.search(relative) if self._pattern else None
        return found[found.re.groups and 1] if found else None


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise DatasetError(f"--patient-pattern is no regular expression: {error}.") from error


def from_name(filename: str) -> str | None:
    """The patient's id in a file name of a known pattern, else None."""
    for pattern in _NAME_PATTERNS:
        found = pattern.search(filename)
        if found:
            return found.group(1)
    return None


def _from_header(path: Path) -> str | None:
    """(0010,0020) *Patient ID* of a DICOM file, else None."""
    try:
        with path.open("rb") as stream:
            if stream.read(132)[128:] != b"DICM":
                return None
        import pydicom

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"])
        return str(header.get("PatientID") or "").strip() or None
    except Exception:  # a damaged header raises anything; the decoder will name the file's fault
        return None


def _read_tables(data: Path) -> dict[str, str]:
    """Patients by relative path and by bare name, from every CSV at the top that has both columns."""
    table: dict[str, str] = {}
    ambiguous: set[str] = set()
    for path in sorted(data.glob("*.csv")):
        for file, patient in _rows(path):
            table[file] = patient
            name = file.rsplit("/", 1)[-1]
            if name != file and table.setdefault(name, patient) != patient:
                ambiguous.add(name)
    return {file: patient for file, patient in table.items() if file not in ambiguous}


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """(file, patient) of each row; nothing from a table without such columns or that is no text."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
            file = next((names[column] for column in _FILE_COLUMNS if column in names), None)
            patient = next((names[column] for column in _PATIENT_COLUMNS if column in names), None)
            if file is None or patient is None:
                return
            for row in reader:
                if row.get(file) and row.get(patient):
                    yield row[file].strip().replace("\\", "/"), row[patient].strip()
    except (UnicodeDecodeError, csv.Error):
        return
