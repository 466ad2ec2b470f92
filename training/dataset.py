"""A folder of images -> examples: one folder per category, named as people name them."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.errors import DatasetError
from training.patients import PatientFinder

# "Birads1", "birads_1", "BI-RADS 4", "BIRAD 2", "Category 3", "4", "4A" (a subdivision of 4).
_CATEGORY_FOLDER = re.compile(
    r"(?:bi[\s_-]*rads?)?[\s_-]*(?:category|cat)?[\s_.-]*([0-6])[\s_-]*[abc]?", re.IGNORECASE
)
# Beside the images people keep tables, notes and what their file manager leaves; none of it is an image.
_NOT_IMAGES = frozenset({".csv", ".txt", ".md", ".json", ".xlsx", ".xls", ".ini", ".db", ".pdf"})
# Fewer images than this cannot be parted into training, validation and test.
_LEAST_IMAGES = 2


@dataclass(frozen=True)
class Example:
    """One labelled image.

    category : BI-RADS code, ``"0"`` to ``"6"``
    patient : id that groups images
    known : False where no patient could be told; the image then counts as a patient of its own
    """

    path: Path
    category: str
    patient: str
    known: bool


def category_of(folder: str) -> str | None:
    """The BI-RADS code a folder's name means, or None."""
    found = _CATEGORY_FOLDER.fullmatch(folder.strip())
    return found.group(1) if found else None


@dataclass(frozen=True)
class Dataset:
    """The examples below one folder."""

    examples: tuple[Example, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The categories that occur, in BI-RADS order."""
        return tuple(sorted({example.category for example in self.examples}))

    @property
    def labels(self) -> np.ndarray:
        """int array of shape (n,): each example's place in ``classes``."""
        return np.unique([example.category for example in self.examples], return_inverse=True)[1]

    @property
    def patients(self) -> tuple[str, ...]:
        """Each example's patient."""
        return tuple(example.patient for example in self.examples)


def read_folder(data: Path, classes: tuple[str, ...] = ()) -> Dataset:
    """List the labelled images below ``data``; nothing is decoded yet.

    Parameters
    ----------
    data : holds one folder per category; deeper folders are searched too. Tables (``*.csv``) at the top may
        tell the patients
    classes : categories to take; all when empty

    Raises
    ------
    DatasetError
        A folder's name is no category, fewer than two categories hold images, or one holds a single image.
    """
    finder = PatientFinder(data)
    examples = []
    for folder, category in _category_folders(data):
        if classes and category not in classes:
            continue
        for path in _images(folder):
            patient = finder.find(path)
            own = f"image {path.relative_to(data)}"
            examples.append(Example(path, category, patient or own, known=patient is not None))
    dataset = Dataset(tuple(examples))
    missing = sorted(set(classes) - set(dataset.classes))
    if missing:
        raise DatasetError(
            f"{data} holds no images of category {', '.join(missing)}. Take it out of --classes."
        )
    check_classes(dataset, data)
    return dataset


def check_classes(dataset: Dataset, data: Path) -> None:
    """Raise DatasetError unless there are two categories or more with enough images each."""
    counts = Counter(example.category for example in dataset.examples)
    if len(counts) < 2:
        found = f"only category {next(iter(counts))}" if counts else "no images"
        raise DatasetError(f"{data} holds {found} that can be used. Training needs two categories or more.")
    for code, count in sorted(counts.items()):
        if count < _LEAST_IMAGES:
            raise DatasetError(
                f"Category {code} has {count} image. Add images of it, or leave it out: "
                f"--classes {','.join(other for other in sorted(counts) if other != code)}."
            )


def _category_folders(data: Path) -> list[tuple[Path, str]]:
    """The folders directly below ``data`` with their categories."""
    folders = []
    for folder in sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith(".")):
        category = category_of(folder.name)
        if category is None:
            raise DatasetError(
                f"The folder {folder.name!r} in {data} is no BI-RADS category. Name folders like Birads1, "
                "birads_1, BI-RADS 4, 4 or 4A, and move others away."
            )
        folders.append((folder, category))
    if not folders:
        raise DatasetError(
            f"{data} holds no folders. Put the images of each category into one, such as Birads1."
        )
    return folders


def _images(folder: Path) -> list[Path]:
    """Every file below the folder that may be an image."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.suffix.lower() not in _NOT_IMAGES
    )
