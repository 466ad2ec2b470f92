"""Label table of the public data sets from which the demonstration model is made.

The sets are read where they are; the table and the phantoms that it also names are written to a folder.
"""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from birads_app.files import atomic
from birads_app.imaging import view_filename
from training.data.dataset import read_folder
from training.data.patient_ids import from_name
from training.data.split import by_patient
from training.errors import DatasetError
from training.phantoms import generate

TABLE = "labels.csv"
COLUMNS = ("image", "birads", "possible", "patient", "side", "view", "source", "mask", "part")
CESM, DDSM, KAU, PHANTOMS = "CDD-CESM", "DDSM", "KAU-BCMD", "phantoms"
_FOLDERS = {CESM: "cdd-cesm-low-energy", DDSM: "ddsm-thumbnails", KAU: "kau-bcmd-sample"}
_OUTLINES = "cdd-cesm-low-energy-masks"
# Categories that a radiologist may have given, by what DDSM's folders say about an image.
_POSSIBLE = {"normal": "1|2", "benign": "2|3", "cancer": "4|5"}
# The patients who are held out are those of the first demonstration model.
_HELD_OUT, _VALIDATION, _SPLIT_SEED = 0.25, 0.15, 7
# Not used by tests or `flask end-to-end-check`.
PHANTOM_SEED = 20_000
PHANTOM_PATIENTS = 75


@dataclass(frozen=True)
class _Image:
    """An image with the label of its folder, a category or a key of ``_POSSIBLE``."""

    path: Path
    label: str
    patient: str


def write_table(data: Path, folder: Path, phantom_patients: int | None = None) -> Path:
    """Draw the phantoms, unless they are there, and write the label table; return its path.

    Parameters
    ----------
    data : folder of the public sets
    folder : receives the table and the folder of the phantoms
    phantom_patients : number of synthetic patients, four images each; that of the demonstration model if None

    Raises
    ------
    DatasetError
        A set is missing from ``data``.
    """
    sets = {name: _read(data, name) for name in _FOLDERS}
    count = phantom_patients or PHANTOM_PATIENTS
    phantoms = folder / f"phantoms-{count}"
    if not phantoms.exists():
        generate.write_set(phantoms, count, PHANTOM_SEED)
    rows = [row for name, images in sets.items() for row in _rows(data, name, images)]
    rows += [{**row, "source": PHANTOMS, "part": "training"} for row in _phantom_rows(phantoms)]
    for row in rows:
        for column in ("image", "mask"):
            if row.get(column):
                row[column] = os.path.relpath(row[column], folder)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic.write(folder / TABLE, text.getvalue())
    return folder / TABLE


def _read(data: Path, name: str) -> list[_Image]:
    """List the images of one public set."""
    folder = data / _FOLDERS[name]
    if not folder.is_dir():
        raise DatasetError(
            f"The demonstration model needs the folder {_FOLDERS[name]}, which is missing from {data}."
        )
    if name == DDSM:
        paths = (path for label in _POSSIBLE for path in sorted((folder / label).glob("*.png")))
        return [_Image(path, path.parent.name, from_name(path.name) or path.stem) for path in paths]
    categories = tuple(code for code in "12345" if (folder / f"Birads{code}").is_dir())
    examples = read_folder(folder, categories).examples
    return [_Image(one.path, one.category, one.patient) for one in examples]


def _rows(data: Path, name: str, images: Sequence[_Image]) -> Iterator[dict[str, str]]:
    """Yield a row for each image of a public set, with the part of the split that it is bound to."""
    held_out = set(range(len(images))) if name == KAU else set(_held_out(images).tolist())
    for number, one in enumerate(images):
        side, view = view_filename.from_name(one.path.name)
        outline = data / _OUTLINES / one.path.name
        yield {
            "image": str(one.path),
            "possible" if name == DDSM else "birads": _POSSIBLE.get(one.label, one.label),
            "patient": one.patient,
            "side": side or "",
            "view": view or "",
            "source": name,
            "mask": str(outline) if name == CESM and outline.is_file() else "",
            "part": "test" if number in held_out else "",
        }


def _held_out(images: Sequence[_Image]) -> np.ndarray:
    names, labels = np.unique([one.label for one in images], return_inverse=True)
    patients = [one.patient for one in images]
    split = by_patient(
        patients, labels, list(names), validation=_VALIDATION, test=_HELD_OUT, seed=_SPLIT_SEED
    )
    return split.test


def _phantom_rows(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of the phantoms' table; their outlines are left out, so that real findings are learned."""
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            yield {
                "image": str(folder / row["path"]),
                "birads": row["birads"],
                "patient": row["patient"],
                "side": row["side"],
                "view": row["view"],
            }
