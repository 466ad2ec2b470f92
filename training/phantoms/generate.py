"""Sets of phantoms: synthetic patients with labelled mammograms, for tests and a first try of training.

A patient has four images, each breast in CC and MLO. A breast has one category, and its finding is visible in both
views. Categories differ by the morphology of the finding only (:mod:`training.phantoms.synthetic_findings`), so that a
working method can learn them. Results on phantoms say nothing about real patients.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from birads_app.files import atomic
from training.data.phantom_names import patient_id, stem
from training.errors import TrainingError
from training.phantoms.anatomy import DENSITIES, VIEWS, draw_habitus
from training.phantoms.dicom import encode_dicom
from training.phantoms.image import (
    CATEGORIES,
    LATERALITIES,
    WHITE,
    Phantom,
    PhantomError,
    PhantomFinding,
    phantom,
)

__all__ = [
    "COLUMNS",
    "WHITE",
    "PhantomFinding",
    "FolderInUse",
    "Phantom",
    "PhantomError",
    "patients",
    "phantom",
    "write_set",
]

# Columns of truth.csv: one row per image, paths relative to the table. Finding and box are empty in category 1;
# several findings are separated by semicolons. With outlines there is a column more, their image.
COLUMNS = (
    "path",
    "birads",
    "patient",
    "view",
    "side",
    "density",
    "finding",
    "top",
    "left",
    "height",
    "width",
)
OUTLINES = "mask"
# Distribution of density in the BI-RADS Atlas, 5th edition.
_DENSITY_SHARES = (0.1, 0.4, 0.4, 0.1)


class FolderInUse(TrainingError):
    """The destination folder is not empty."""


def patients(
    count: int, seed: int, size: int = 512, weights: Mapping[str, float] | None = None
) -> Iterator[tuple[str, Phantom]]:
    """Draw ``count`` patients of four images each: pairs (patient id, phantom), the same for the same seed.

    Breasts are distributed evenly over the categories "1".."5", or by ``weights`` (category -> share).

    Raises
    ------
    PhantomError
        The count or the seed is negative, a share is not positive, or its category is none of "1".."5".
    """
    if count < 0 or seed < 0:
        raise PhantomError(f"Number of patients and seed cannot be negative. Got {count} and {seed}.")
    categories = _draw_categories(2 * count, seed, weights)
    return (
        (patient_id(number + 1), image)
        for number in range(count)
        for image in _images(number, seed, size, categories[2 * number : 2 * number + 2])
    )


def _images(number: int, seed: int, size: int, categories: list[str]) -> Iterator[Phantom]:
    """Draw the four images of one patient; ``categories`` are those of the left and the right breast."""
    rng = np.random.default_rng([seed, 1, number])
    habitus, density = draw_habitus(rng), str(rng.choice(DENSITIES, p=_DENSITY_SHARES))
    for side, (laterality, category) in enumerate(zip(LATERALITIES, categories, strict=True)):
        for view in VIEWS:
            same_breast = np.random.default_rng([seed, 2, number, side])
            yield phantom(same_breast, category, view, laterality, density, size, habitus=habitus)


def _draw_categories(count: int, seed: int, weights: Mapping[str, float] | None) -> list[str]:
    """Return the categories of ``count`` breasts in random order, their frequencies closest to the shares."""
    shares = dict(weights) if weights is not None else dict.fromkeys(CATEGORIES, 1.0)
    if not shares or any(category not in CATEGORIES or not share > 0 for category, share in shares.items()):
        raise PhantomError(
            f"Shares must be positive and given for categories among {', '.join(CATEGORIES)}. Got {shares!r}."
        )
    ends = np.cumsum(list(shares.values())) / sum(shares.values())
    indices = np.searchsorted(ends, (np.arange(count) + 0.5) / max(count, 1))
    categories = np.array(list(shares))[indices]
    return [str(category) for category in np.random.default_rng([seed, 0]).permutation(categories)]


def write_set(
    directory: Path,
    patients: int,
    seed: int,
    format: Literal["png", "dicom"] = "png",
    size: int = 512,
    progress: Callable[[int], object] | None = None,
    outlines: bool = False,
) -> Path:
    """Write a labelled set in the layout of ``flask train --data``; the same seed gives the same bytes.

    Folders ``Birads1`` .. ``Birads5`` hold the images (``PH0001_L_CC.png``: patient, side, view), truth.csv
    the labels and boxes. PNG files have 8 bits, DICOM files 12. The set is written completely or not at all.

    Parameters
    ----------
    directory : new or empty folder
    patients : number of patients, four images each
    size : height of the images in pixels
    progress : called after each patient with the number of patients written
    outlines : also write an image that outlines the findings of each, in the folder ``outlines``

    Returns
    -------
    Path of truth.csv.

    Raises
    ------
    FolderInUse
        The directory is not empty, or is a file.
    PhantomError
        The number of patients is not positive, or the format is unknown.
    """
    if patients < 1 or format not in ("png", "dicom"):
        raise PhantomError(
            f"A data set needs at least one patient and the format png or dicom. Got {patients} as {format!r}."
        )
    directory = Path(directory).absolute()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise FolderInUse(f"{directory} is not empty. Choose a new folder for the phantoms.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with atomic.new_folder(directory) as draft:
        _write(draft, patients, seed, format, size, progress or (lambda _: None), outlines)
    return directory / "truth.csv"


def _write(
    folder: Path,
    count: int,
    seed: int,
    format: str,
    size: int,
    progress: Callable[[int], object],
    outlines: bool,
) -> None:
    """Write images and table into an empty folder."""
    with (folder / "truth.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow((*COLUMNS, OUTLINES) if outlines else COLUMNS)
        for number, (patient, image) in enumerate(patients(count, seed, size), start=1):
            extension = "png" if format == "png" else "dcm"
            name = f"Birads{image.category}/{stem(patient, image.laterality, image.view)}.{extension}"
            data = encode_png(image) if format == "png" else encode_dicom(image, patient, seed)
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            row = _row(name, patient, image)
            if outlines:
                row.append(f"outlines/{stem(patient, image.laterality, image.view)}.png")
                outline = folder / row[-1]
                outline.parent.mkdir(exist_ok=True)
                outline.write_bytes(cv2.imencode(".png", image.outline)[1].tobytes())
            table.writerow(row)
            if number % 4 == 0:
                progress(number // 4)


def encode_png(image: Phantom) -> bytes:
    """Encode as an 8-bit greyscale PNG."""
    grey = (image.pixels >> 4).astype(np.uint8)
    return cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def _row(name: str, patient: str, image: Phantom) -> list[str]:
    """Build a row of truth.csv."""
    kinds = ";".join(finding.kind for finding in image.findings)
    boxes = [";".join(str(finding.box[side]) for finding in image.findings) for side in range(4)]
    return [name, image.category, patient, image.view, image.laterality, image.density, kinds, *boxes]
