"""A data set -> examples: a folder per category, named as people name them, or a table of labels.

``--data`` takes a folder of such folders, a CSV as :mod:`training.data.label_tables` describes it, or a folder
with one such CSV and no folders of categories.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data import label_tables
from training.data.patient_ids import PatientFinder
from training.errors import DatasetError

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
    view, side, density, date : as a table or a DICOM header has them; empty where neither says
    """

    path: Path
    category: str
    patient: str
    known: bool
    view: str = ""
    side: str = ""
    density: str = ""
    date: str = ""


def category_of(folder: str) -> str | None:
    """The BI-RADS code that a folder's name or a cell of a table means, or None."""
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


@dataclass(frozen=True)
class Listing:
    """What a data set holds, before anything is decoded.

    problems : lines for which training refuses the set
    notes : lines on what is odd but does no harm
    """

    dataset: Dataset
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def read(data: Path, classes: tuple[str, ...] = (), pattern: str | None = None) -> Listing:
    """List the labelled images of a folder or a table; raises DatasetError where training would refuse it."""
    found = listing(data, classes, pattern)
    if found.problems:
        more = f" There are {len(found.problems) - 1} more; see flask dataset check."
        raise DatasetError(found.problems[0] + (more if len(found.problems) > 1 else ""))
    return found


def read_folder(data: Path, classes: tuple[str, ...] = (), pattern: str | None = None) -> Dataset:
    """List the labelled images in a folder per category; nothing is decoded yet.

    Parameters
    ----------
    data : holds one folder per category; deeper folders are searched too. Tables (``*.csv``) at the top may
        tell the patients
    classes : categories to take; all when empty
    pattern : regular expression that finds the patient in a file's path

    Raises
    ------
    DatasetError
        A folder's name is no category, fewer than two categories hold images, or one holds a single image.
    """
    dataset = Dataset(tuple(_from_folders(data, classes, pattern)))
    _check_chosen(dataset, classes, data)
    return dataset


def listing(data: Path, classes: tuple[str, ...] = (), pattern: str | None = None) -> Listing:
    """List the labelled images of a folder or a table and collect what is wrong with it.

    Raises
    ------
    DatasetError
        Nothing can be listed: there is no such data, a folder is no category, a table lacks a column, or
        ``pattern`` is no regular expression.
    """
    if not data.exists():
        raise DatasetError(f"There is no folder and no table {data}.")
    table = _table_of(data)
    if table is None:
        dataset, joined = Dataset(tuple(_from_folders(data, classes, pattern))), label_tables.Joined(())
    else:
        joined = label_tables.join(table)
        dataset = Dataset(tuple(_from_table(table, joined, classes, pattern)))
    problems = [*joined.problems, *_unknown_categories(joined)]
    try:
        _check_chosen(dataset, classes, data)
    except DatasetError as error:
        problems.append(str(error))
    return Listing(dataset, tuple(problems), joined.notes)


def _table_of(data: Path) -> Path | None:
    """The table of labels that ``data`` is or, where it has no folder of a category, holds."""
    if not data.is_dir():
        return data
    if any(category_of(path.name) for path in data.iterdir() if path.is_dir()):
        return None
    found = [table for table in sorted(data.glob("*.csv")) if label_tables.is_label_table(table)]
    if len(found) > 1:
        names = ", ".join(table.name for table in found)
        raise DatasetError(f"{data} holds several tables of labels: {names}. Give one of them as --data.")
    return found[0] if found else None


def _from_folders(data: Path, classes: tuple[str, ...], pattern: str | None) -> Iterator[Example]:
    finder = PatientFinder(data, pattern)
    for folder, category in _category_folders(data):
        if classes and category not in classes:
            continue
        for path in _images(folder):
            patient = finder.find(path)
            own = f"image {path.relative_to(data)}"
            yield Example(path, category, patient or own, known=patient is not None)


def _from_table(
    table: Path, joined: label_tables.Joined, classes: tuple[str, ...], pattern: str | None
) -> Iterator[Example]:
    finder = PatientFinder(table.parent, pattern)
    for image in joined.images:
        category = _cell_category(image)
        if category is None or (classes and category not in classes):
            continue
        patient = image.values.get("patient") or finder.find(image.path)
        more = {name: image.values.get(name, "") for name in ("view", "side", "density", "date")}
        yield Example(
            image.path, category, patient or f"image {image.path}", known=patient is not None, **more
        )


def _cell_category(image: label_tables.Labelled) -> str | None:
    """The category in a row; spreadsheets write 4 as 4.0, and -1 for what is missing."""
    cell = image.values.get("birads", "")
    return None if cell.startswith("-") else category_of(re.sub(r"\.0+$", "", cell))


def _unknown_categories(joined: label_tables.Joined) -> Iterator[str]:
    for image in joined.images:
        if _cell_category(image) is None:
            cell = image.values.get("birads", "")
            yield f"{image.where}: {cell!r} is no BI-RADS category, which are 0 to 6 (and 4A, 4B, 4C)."


def _check_chosen(dataset: Dataset, classes: tuple[str, ...], data: Path) -> None:
    """Raise DatasetError unless every chosen category has images, and there is enough to learn from."""
    missing = sorted(set(classes) - set(dataset.classes))
    if missing:
        raise DatasetError(
            f"{data} holds no images of category {', '.join(missing)}. Take it out of --classes."
        )
    check_classes(dataset, data)


def check_classes(dataset: Dataset, data: Path) -> None:
    """Raise DatasetError unless there are two categories or more with enough images each."""
    counts = Counter(example.category for example in dataset.examples)
    if len(counts) < 2:
        found = f"only category {next(iter(counts))}" if counts else "no images"
        raise DatasetError(f"{data} holds {found} that can be used. Training needs two categories or more.")
    for code, count in sorted(counts.items()):
        if count < _LEAST_IMAGES:
            others = ",".join(other for other in sorted(counts) if other != code)
            leave_out = f", or leave it out: --classes {others}" if len(counts) > 2 else ""
            raise DatasetError(f"Category {code} has {count} image. Add images of it{leave_out}.")


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
