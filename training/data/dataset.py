"""Labelled images of a data set: one folder per category, or a label table.

``--data`` takes a folder of such folders, a CSV as :mod:`training.data.label_tables` describes it, or a folder
with one such CSV and no category folders.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from birads_app.terms.spelling import parse_category
from training.data import bound_parts, category_folders, label_tables
from training.data.image_file import Header
from training.data.patient_ids import PatientFinder, normalise
from training.errors import DatasetError

# Fewer images cannot be split into training, validation and test set.
_LEAST_IMAGES = 2
# Categories that are no degrees of suspicion between the others, and are not trained on.
UNGRADED = {"0": "incomplete assessment", "6": "known malignancy"}


@dataclass(frozen=True)
class Example:
    """One labelled image.

    category : BI-RADS code, ``"0"`` to ``"6"``; empty if the label is a set of categories
    patient : ID that groups images; one spelling for all images of a patient
    known : False if the patient is unknown; the image then counts as a patient of its own
    view, side, density, date : from a table or a DICOM header; empty if unknown
    source : origin of the image, such as a hospital or a collection, from a table; empty if unknown
    possible : codes of the categories that the label allows, if it is a set
    mask : black and white image that outlines the findings; None without one
    without_findings : True if the image is known to have no finding to outline
    part : set that a table binds its patient to, ``training`` or ``test``; empty if any
    """

    path: Path
    category: str
    patient: str
    known: bool
    view: str = ""
    side: str = ""
    density: str = ""
    date: str = ""
    source: str = ""
    possible: tuple[str, ...] = ()
    mask: Path | None = None
    without_findings: bool = False
    part: str = ""

    @property
    def label(self) -> str:
        """The category, or the categories of the set as ``"1|2"``."""
        return self.category or label_tables.SEPARATOR.join(self.possible)

    @property
    def allowed(self) -> tuple[str, ...]:
        """Categories that the label allows, one or several."""
        return self.possible or (self.category,)

    def fits(self, classes: Collection[str]) -> bool:
        """Return True if all categories that the label allows are among ``classes``."""
        return set(self.allowed) <= set(classes)


@dataclass(frozen=True)
class Dataset:
    """Examples of a data set."""

    examples: tuple[Example, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Categories of the images that have one, in BI-RADS order."""
        return tuple(sorted({example.category for example in self.examples if example.category}))

    @property
    def labels(self) -> np.ndarray:
        """int array of shape (n,): each example's index in ``classes``; -1 if its label is a set."""
        index = {code: place for place, code in enumerate(self.classes)}
        return np.array([index.get(example.category, -1) for example in self.examples], int)

    @property
    def label_sets(self) -> np.ndarray:
        """bool array of shape (n, classes): the categories that each example's label allows.

        None where a set has categories that are not among ``classes``.
        """
        classes = self.classes
        allowed = [example.allowed for example in self.examples]
        return np.array(
            [[code in codes and set(codes) <= set(classes) for code in classes] for codes in allowed]
        )

    @property
    def labels_or_sets(self) -> np.ndarray:
        """:attr:`labels`; :attr:`label_sets` if the label of some example is a set."""
        return self.label_sets if self.has_sets else self.labels

    @property
    def has_sets(self) -> bool:
        """True if the label of some example is a set of categories."""
        return any(not example.category for example in self.examples)

    @property
    def patients(self) -> tuple[str, ...]:
        """Patient of each example."""
        return tuple(example.patient for example in self.examples)

    @property
    def parts(self) -> tuple[str, ...]:
        """Set that each example's patient is bound to."""
        return tuple(example.part for example in self.examples)


@dataclass(frozen=True)
class DatasetListing:
    """Contents of a data set before any image is decoded.

    data : its folder or table
    classes : categories to take; all if empty
    found : labelled images, with patients as their source spells them
    table_problems, table_notes : messages about tables
    unjoined : table to be joined by :meth:`with_headers`; ``found`` has all files then, without category
    left_out : numbers of images of categories 0 and 6, which are not in ``found``
    """

    data: Path
    classes: tuple[str, ...]
    found: tuple[Example, ...]
    table_problems: tuple[str, ...] = ()
    table_notes: tuple[str, ...] = ()
    unjoined: label_tables.HeaderTable | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def dataset(self) -> Dataset:
        """The images, with one spelling for each patient."""
        return self._merged[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages about harmless irregularities."""
        return (*self.table_notes, *self._merged[1], *filter(None, [ungraded_note(self.left_out)]))

    @property
    def problems(self) -> tuple[str, ...]:
        """Messages for which training refuses the data set; those of categories only once labels are known."""
        if self.unjoined is not None:
            return self.table_problems
        try:
            _check_chosen(self.dataset, self.classes, self.data)
            bound_parts.check(self.dataset.parts, self.dataset.patients)
        except DatasetError as error:
            return (*self.table_problems, str(error))
        return self.table_problems

    @cached_property
    def _merged(self) -> tuple[Dataset, tuple[str, ...]]:
        merged, notes = _merge_patients(self.found)
        return Dataset(merged), notes

    def require(self) -> None:
        """Raise DatasetError if training would refuse the data set."""
        require_none(self.problems)

    def with_headers(self, headers: Mapping[Path, Header | None]) -> "DatasetListing":
        """Return the listing with labels and patients that only DICOM headers have.

        Parameters
        ----------
        headers : of each file in :attr:`found`; None if it is not DICOM or has not been read
        """
        if self.unjoined is None:
            found = tuple(_with_patient(one, headers.get(one.path)) for one in self.found)
            return replace(self, found=found)
        joined = self.unjoined.join(headers)
        others = {one.path: one.patient for one in self.found if one.known}
        found, left_out = _graded(_from_table(joined, self.classes, others.get))
        return replace(
            self,
            found=found,
            left_out=left_out,
            table_problems=(*self.table_problems, *joined.problems, *_label_problems(joined)),
            table_notes=joined.notes + self.table_notes,
            unjoined=None,
        )

    def of_classes(self, classes: tuple[str, ...]) -> "DatasetListing":
        """Return the listing of some categories."""
        found = tuple(one for one in self.found if one.fits(classes))
        return replace(self, classes=classes, found=found)


def require_none(problems: Sequence[str]) -> None:
    """Raise DatasetError with the first of the problems, if there are any."""
    if problems:
        more = f" There are {len(problems) - 1} more; see flask dataset check."
        raise DatasetError(problems[0] + (more if len(problems) > 1 else ""))


def _with_patient(example: Example, header: Header | None) -> Example:
    """Take the patient from the header if it is unknown."""
    patient = "" if example.known or header is None else header.get("patient", "")
    return replace(example, patient=patient, known=True) if patient else example


def read(data: Path, classes: tuple[str, ...] = (), pattern: str | None = None) -> DatasetListing:
    """List the labelled images of a folder or a table; raises DatasetError if training would refuse it."""
    listed = listing(data, classes, pattern)
    listed.require()
    return listed


def read_folder(data: Path, classes: tuple[str, ...] = (), pattern: str | None = None) -> Dataset:
    """List the labelled images in one folder per category, without decoding them.

    Parameters
    ----------
    data : holds one folder per category, with subfolders or not. Tables (``*.csv``) at the top may name the patients
    classes : categories to take; all if empty
    pattern : regular expression that finds the patient in a file's path

    Raises
    ------
    DatasetError
        A folder's name is not a category, fewer than two categories hold images, or one holds a single image.
    """
    examples = _from_folders(data, classes, PatientFinder(data, pattern))
    dataset = Dataset(_merge_patients(examples)[0])
    _check_chosen(dataset, classes, data)
    return dataset


def listing(data: Path, classes: tuple[str, ...] = (), pattern: str | None = None) -> DatasetListing:
    """List the labelled images of a folder or a table and collect its problems; opens tables only.

    Raises
    ------
    DatasetError
        Nothing can be listed: there is no such data, a folder is not a category, a table cannot be read or lacks a
        column, ``pattern`` is not a regular expression, or ``classes`` has 0 or 6.
    """
    _refuse_ungraded(classes)
    if not data.exists():
        raise DatasetError(f"There is neither a folder nor a label table {data}.")
    table = _table_of(data)
    finder = PatientFinder(table.parent if table else data, pattern)
    if table is None:
        found, left_out = _graded(_from_folders(data, classes, finder))
        return DatasetListing(data, classes, found, table_notes=finder.notes, left_out=left_out)
    joined = label_tables.join(table)
    if joined.by_header:
        files = tuple(
            _example(path, "", table.parent, finder) for path in category_folders.images(table.parent)
        )
        return DatasetListing(data, classes, files, joined.problems, finder.notes, joined.by_header)
    found, left_out = _graded(_from_table(joined, classes, finder.find))
    return DatasetListing(
        data,
        classes,
        found,
        (*joined.problems, *_label_problems(joined)),
        (*joined.notes, *finder.notes),
        left_out=left_out,
    )


def _refuse_ungraded(classes: tuple[str, ...]) -> None:
    for code in classes:
        if code in UNGRADED:
            raise DatasetError(
                f"Category {code} ({UNGRADED[code]}) cannot be trained on, because it is no degree of suspicion. "
                "Remove it from --classes."
            )


def _graded(examples: Iterable[Example]) -> tuple[tuple[Example, ...], dict[str, int]]:
    """Return the examples of categories 1 to 5, and the numbers of others by category."""
    listed = tuple(examples)
    counts = Counter(one.category for one in listed if one.category in UNGRADED)
    return tuple(one for one in listed if one.category not in UNGRADED), dict(sorted(counts.items()))


def ungraded_note(left_out: Mapping[str, int]) -> str:
    """Return the sentence about the images of categories 0 and 6 that are left out; empty if there are none."""
    if not left_out:
        return ""
    counts = " and ".join(
        f"{count} image{'' if count == 1 else 's'} of category {code} ({UNGRADED[code]})"
        for code, count in left_out.items()
    )
    return f"Left out: {counts}, which is no degree of suspicion."


def _table_of(data: Path) -> Path | None:
    """Label table that ``data`` is or, without category folders, holds."""
    if not data.is_dir():
        return data
    if any(parse_category(path.name) for path in data.iterdir() if path.is_dir()):
        return None
    candidates = [table for table in sorted(data.glob("*.csv")) if label_tables.is_label_table(table)]
    if len(candidates) > 1:
        names = ", ".join(table.name for table in candidates)
        raise DatasetError(f"{data} contains several label tables: {names}. Give one of them as --data.")
    return candidates[0] if candidates else None


def _from_folders(data: Path, classes: tuple[str, ...], finder: PatientFinder) -> Iterator[Example]:
    for folder, category in category_folders.find(data):
        if not classes or category in classes:
            yield from (_example(path, category, data, finder) for path in category_folders.images(folder))


def _example(path: Path, category: str, data: Path, finder: PatientFinder) -> Example:
    patient = finder.find(path)
    return Example(path, category, patient or f"image {path.relative_to(data)}", known=patient is not None)


def _from_table(
    joined: label_tables.Joined, classes: tuple[str, ...], patient_of: Callable[[Path], str | None]
) -> Iterator[Example]:
    for image in joined.images:
        label = label_tables.label_of(image.values)
        if label.problem:
            continue
        patient = image.values.get("patient") or patient_of(image.path)
        more = {
            name: image.values.get(name, "") for name in ("view", "side", "density", "date", "source", "part")
        }
        example = Example(
            image.path,
            label.category,
            patient or f"image {image.path}",
            known=patient is not None,
            possible=label.possible,
            mask=image.mask,
            without_findings=image.without_findings,
            **more,
        )
        if not classes or example.fits(classes):
            yield example


def _merge_patients(examples: Iterable[Example]) -> tuple[tuple[Example, ...], tuple[str, ...]]:
    """Give all images of a patient one spelling of the ID; the notes say how many spellings were merged."""
    spellings: dict[str, dict[str, None]] = {}
    merged = []
    for example in examples:
        if example.known:
            known = spellings.setdefault(normalise(example.patient), {})
            known.setdefault(example.patient)
            example = replace(example, patient=next(iter(known)))
        merged.append(example)
    several = [known for known in spellings.values() if len(known) > 1]
    if not several:
        return tuple(merged), ()
    note = (
        f"{sum(map(len, several))} patient IDs that differ only in case, leading zeros or blanks were merged into "
        f"{len(several)}."
    )
    return tuple(merged), (note,)


def _label_problems(joined: label_tables.Joined) -> Iterator[str]:
    for image in joined.images:
        if problem := label_tables.label_of(image.values).problem:
            yield f"{image.where}: {problem}"


def _check_chosen(dataset: Dataset, classes: tuple[str, ...], data: Path) -> None:
    """Raise DatasetError unless every chosen category has images and training is possible."""
    missing = sorted(set(classes) - set(dataset.classes))
    if missing:
        raise DatasetError(
            f"{data} contains no images of category {', '.join(missing)}. Remove it from --classes."
        )
    check_classes(dataset, data)


def check_classes(dataset: Dataset, data: Path) -> None:
    """Raise DatasetError unless two or more categories have enough images."""
    counts = Counter(example.category for example in dataset.examples if example.category)
    if len(counts) < 2:
        found = f"only images of category {next(iter(counts))}" if counts else "no images"
        raise DatasetError(f"{data}: {found} can be used. Training needs two or more categories.")
    for code, count in sorted(counts.items()):
        if count < _LEAST_IMAGES:
            others = ",".join(other for other in sorted(counts) if other != code)
            leave_out = f", or exclude it: --classes {others}" if len(counts) > 2 else ""
            raise DatasetError(f"Category {code} has {count} image. Add images{leave_out}.")
