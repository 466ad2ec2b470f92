"""Archives to score, and tables of results to compare."""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

from pyarrow import parquet
from pydicom.uid import generate_uid

from tests.support.factories import breast, colour_photograph, dicom, dicom_bytes, mammogram_png


def patient_file(patient: int, side: str, view: str) -> bytes:
    """Return one DICOM file of a patient's study."""
    made = dicom(breast(320, 256, seed=patient))
    made.PatientID, made.PatientName = f"ID-47{patient}", f"Secretname^{patient}"
    made.StudyInstanceUID, made.StudyDate = f"1.2.826.0.9.{patient}", "20260105"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid(
        entropy_srcs=[str(patient), side, view]
    )
    made.ImageLaterality, made.ViewPosition = side, view
    return dicom_bytes(made)


def write_mixed(folder: Path) -> Path:
    """Write an archive with two studies, pictures, a ZIP file and files of other kinds; return its folder."""
    files: dict[str, bytes] = {
        f"Secretname-{patient}/{side}{view}.dcm": patient_file(patient, side, view)
        for patient in (1, 2)
        for side in "LR"
        for view in ("CC", "MLO")
    }
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as target:
        target.writestr("inner/left.png", mammogram_png(3))
        target.writestr("inner/readme.txt", "An archive for tests, with an image.")
    files |= {
        "pictures/left_cc.png": mammogram_png(1),
        "pictures/right.png": mammogram_png(2),
        "pictures/holiday.jpg": colour_photograph(),
        "pictures/truncated.png": mammogram_png(1)[:2000],
        "pictures/packed.zip": zipped.getvalue(),
        "pictures/broken.zip": b"PK\x03\x04" + bytes(200),
        "notes.txt": b"A text that comes with the images of the archive.\n",
        ".hidden.dcm": b"DICM",
        "empty.dcm": b"",
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def rows_of(results: Path) -> list[dict[str, Any]]:
    """Return the rows of all parts, sorted by image."""
    parts = sorted(results.glob("part-*.parquet"))
    rows = [row for part in parts for row in parquet.ParquetFile(part).read().to_pylist()]
    return sorted(rows, key=lambda row: row["image"])


def failures_of(results: Path) -> dict[str, str]:
    """Return the code of each unusable file."""
    with (results / "_failures.csv").open(newline="") as lines:
        return {row["file"]: row["code"] for row in csv.DictReader(lines)}
