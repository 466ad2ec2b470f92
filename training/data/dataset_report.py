"""Content and problems of a data set, for ``flask dataset check`` and for every training."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from birads_app.terms.counts import counted
from training.data.dataset import Example, require_none
from training.data.label_tables import SEPARATOR
from training.data.loader import LoadedDataset
from training.data.usable_images import refusals

# Lines of one kind on the screen; the JSON file has all.
_SHOWN = 10
# Name, among the views, of images whose side and view are unknown.
_UNKNOWN_VIEW = "unknown"


@dataclass(frozen=True)
class SimilarFiles:
    """Files that show the same image.

    similarity : of the perceptual hashes, 0.75 to 1; None if the files are identical
    """

    files: tuple[str, ...]
    patients: tuple[str, ...]
    categories: tuple[str, ...]
    similarity: float | None = None


@dataclass(frozen=True)
class DatasetReport:
    """Content and problems of a data set.

    counts : listed images of each category
    partial : listed images by their set of possible categories, as ``"1|2"``
    outlined, without_findings : images whose findings are outlined, and those that are known to have none
    unknown : number of images whose patient is unknown
    mixed : patients with images of several categories, and these categories
    views : number of images of each side and view, as :mod:`training.data.sides_and_views` reads them
    sources : number of images of each source by category, if there are several
    refused : files that cannot be read or are no mammograms, each with the reason
    left_out : numbers of images of categories 0 and 6, which are not trained on
    small : categories with too few images for SMOTE's neighbours, and their numbers of images
    problems : reasons why the set cannot be trained on, one line each
    """

    data: str
    counts: dict[str, int]
    partial: dict[str, int]
    outlined: int
    without_findings: int
    patients: int
    unknown: int
    mixed: dict[str, tuple[str, ...]]
    views: dict[str, int]
    sources: dict[str, dict[str, int]]
    refused: tuple[tuple[str, str], ...]
    copies: tuple[SimilarFiles, ...]
    near: tuple[SimilarFiles, ...]
    left_out: dict[str, int]
    small: dict[str, int]
    neighbours: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {**asdict(self), "images": self.images, "warnings": list(self.warnings)}

    @property
    def images(self) -> int:
        """Number of listed images."""
        return sum(self.counts.values()) + sum(self.partial.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about what biases the evaluation or weakens the training, without the problems."""
        return tuple(sentence for sentence in self._warnings() if sentence)

    @property
    def copies_warning(self) -> str:
        """Warning about copies of one image that belong to different patients; empty if there are none."""
        across = sum(len(set(group.patients)) > 1 for group in (*self.copies, *self.near))
        if not across:
            return ""
        return (
            f"WARNING: copies of one image belong to different patients ({counted(across, 'group')}). These patients "
            "count as one in the split; others may have several IDs as well. Correct the IDs."
        )

    def require(self) -> None:
        """Raise DatasetError if the data set cannot be trained on."""
        require_none(self.problems)

    def _warnings(self) -> Iterator[str]:
        yield patient_warning(self.unknown, self.images)
        yield self.copies_warning
        torn = sum(_contradict(pair.categories) for pair in (*self.copies, *self.near))
        if torn:
            yield (
                "WARNING: identical or nearly identical images have different categories "
                f"({counted(torn, 'group')})."
            )
        for code in self.counts:
            having = [name for name, counts in self.sources.items() if counts.get(code)]
            if len(having) == 1:
                yield (
                    f"WARNING: all images of category {code} come from the source {having[0]}. A model may learn to "
                    "tell the sources instead of the categories."
                )
        for code, count in self.small.items():
            yield (
                f"WARNING: category {code} has {counted(count, 'image')}, too few for SMOTE "
                f"with {self.neighbours} neighbours; it needs {self.neighbours + 1} in the training set."
            )

    def lines(self) -> Iterator[str]:
        """Yield the report for the screen, line by line."""
        width = max(5, *(len(str(count)) for count in self.counts.values())) if self.counts else 5
        yield f"{self.data}: {counted(self.images, 'image')} of {counted(self.patients, 'patient')}"
        yield "BI-RADS  images"
        yield from (f"{code:>7}  {count:>{width}}" for code, count in self.counts.items())
        if self.partial:
            sets = (f"{codes} {count}" for codes, count in self.partial.items())
            yield f"Labelled by a set of possible categories: {', '.join(sets)}"
        if self.outlined or self.without_findings:
            yield f"Findings outlined: {self.outlined}; known to have none: {self.without_findings}"
        if self.views:
            yield "Sides and views: " + ", ".join(f"{view} {count}" for view, count in self.views.items())
        for name, counts in self.sources.items():
            yield f"Source {name}: " + ", ".join(f"BI-RADS {code} {count}" for code, count in counts.items())
        yield from _listed(
            "patient",
            "in several categories",
            [f"{patient}: {', '.join(codes)}" for patient, codes in self.mixed.items()],
        )
        yield from _listed("file", "that cannot be used", [f"{file}: {why}" for file, why in self.refused])
        yield from _listed("group", "of duplicates", [" = ".join(group.files) for group in self.copies])
        yield from _listed(
            "pair",
            "of near duplicates",
            [f"{' ~ '.join(pair.files)} (similarity {pair.similarity:.2f})" for pair in self.near],
        )
        yield from self.notes
        yield from self.warnings
        yield from (f"PROBLEM: {problem}" for problem in self.problems)
        yield "This data set cannot be trained on." if self.problems else "This data set can be trained on."


def _contradict(labels: Iterable[str]) -> bool:
    """Return True if no category is allowed by all labels, each a category or a set such as ``1|2``."""
    return not set.intersection(*(set(label.split(SEPARATOR)) for label in labels))


def patient_warning(unknown: int, images: int) -> str:
    """Return the warning about images of unknown patients, which every output carries; empty if there are none."""
    if not unknown:
        return ""
    return (
        f"WARNING: the patients of {unknown} of {images} images are unknown, and each of these images counts as a "
        "patient of its own. Images of one patient may be in both the training and the test set, which makes the "
        "figures too good. Provide a table truth.csv with the columns path and patient, or --patient-pattern."
    )


def build_report(loaded: LoadedDataset, neighbours: int, folds: int = 0) -> DatasetReport:
    """Compile the report of a data set.

    Parameters
    ----------
    neighbours : number of SMOTE's neighbours
    folds : of the cross-validation; 0 for one test set
    """
    listing, data = loaded.listing, loaded.listing.data
    examples = listing.dataset.examples
    base = data if data.is_dir() else data.parent
    counts = Counter(example.category for example in examples if example.category)
    partial = Counter(example.label for example in examples if not example.category)
    usable_counts = Counter(one.example.category for one in loaded.images if not one.reason)
    copies, near = _similar(loaded, base)
    return DatasetReport(
        data=str(data),
        counts=dict(sorted(counts.items())),
        partial=dict(sorted(partial.items())),
        outlined=sum(example.mask is not None for example in examples),
        without_findings=sum(example.without_findings for example in examples),
        patients=len({example.patient for example in examples}),
        unknown=sum(not example.known for example in examples),
        mixed=_mixed(examples),
        views=_views([one.example for one in loaded.images]),
        sources=_sources(examples),
        refused=tuple((_name(one.example, base), one.reason) for one in loaded.images if one.reason),
        copies=copies,
        near=near,
        left_out=dict(listing.left_out),
        small={code: usable_counts[code] for code in sorted(counts) if usable_counts[code] <= neighbours},
        neighbours=neighbours,
        problems=refusals(loaded, folds),
        notes=listing.notes,
    )


def _similar(loaded: LoadedDataset, base: Path) -> tuple[tuple[SimilarFiles, ...], tuple[SimilarFiles, ...]]:
    """Return groups of identical files and pairs of similar ones, with the patients as they are listed."""
    listed = {example.path: example for example in loaded.listing.dataset.examples}
    identical: dict[Path, list[Path]] = {}
    for copy in loaded.copies:
        if copy.similarity is None:
            identical.setdefault(copy.files[0], [copy.files[0]]).append(copy.files[1])

    def similar(files: Iterable[Path], similarity: float | None = None) -> SimilarFiles:
        group = [listed[file] for file in files]
        return SimilarFiles(
            tuple(_name(example, base) for example in group),
            tuple(example.patient for example in group),
            tuple(example.label for example in group),
            similarity,
        )

    near = (similar(one.files, one.similarity) for one in loaded.copies if one.similarity is not None)
    return tuple(similar(files) for files in identical.values()), tuple(near)


def _mixed(examples: Sequence[Example]) -> dict[str, tuple[str, ...]]:
    """Return the patients with images of several categories."""
    codes: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        codes[example.patient].update(filter(None, [example.category]))
    return {patient: tuple(sorted(found)) for patient, found in sorted(codes.items()) if len(found) > 1}


def _views(examples: Sequence[Example]) -> dict[str, int]:
    named = (f"{example.side} {example.view}".strip() or _UNKNOWN_VIEW for example in examples)
    return dict(sorted(Counter(named).items(), key=lambda item: (item[0] == _UNKNOWN_VIEW, item[0])))


def _sources(examples: Sequence[Example]) -> dict[str, dict[str, int]]:
    """Count the images of each source by category; empty if there are fewer than two sources."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for example in examples:
        found[example.source or "unknown"][example.label] += 1
    return (
        {name: dict(sorted(counts.items())) for name, counts in sorted(found.items())}
        if len(found) > 1
        else {}
    )


def _name(example: Example, base: Path) -> str:
    """Return the path of the file relative to the data."""
    return Path(os.path.relpath(example.path, base)).as_posix()


def _listed(noun: str, rest: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        yield f"{counted(len(entries), noun)} {rest}:"
        yield from (f"  {entry}" for entry in entries[:_SHOWN])
        if len(entries) > _SHOWN:
            yield f"  and {len(entries) - _SHOWN} more (--out FILE lists all)"
