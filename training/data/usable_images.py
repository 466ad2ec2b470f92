"""Selection of the images that a training uses, and reasons why a data set cannot be trained on.

``flask dataset check`` and ``flask train`` refuse a data set for the same reasons, which :func:`refusals` lists.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.data.dataset import Dataset, Example, check_classes
from training.data.loader import LoadedDataset, LoadedImage
from training.data.split import check_patients
from training.errors import DatasetError


@dataclass(frozen=True)
class RejectedFile:
    """A file that was left out, with the reason."""

    path: Path
    reason: str


def select(loaded: Sequence[LoadedImage]) -> tuple[tuple[LoadedImage, ...], tuple[RejectedFile, ...]]:
    """Return the images to use, and the other files: those that cannot be read, and duplicates."""
    usable = [one for one in loaded if not one.reason]
    unreadable = [RejectedFile(one.example.path, one.reason) for one in loaded if one.reason]
    rejected = (*unreadable, *_duplicates(usable))
    left_out = {file.path for file in rejected}
    return tuple(one for one in usable if one.example.path not in left_out), rejected


def refusals(loaded: LoadedDataset, folds: int = 0) -> tuple[str, ...]:
    """Return the reasons why a loaded data set cannot be trained on, or evaluated with this many folds."""
    return tuple(_refusals(loaded, folds))


def _refusals(loaded: LoadedDataset, folds: int) -> Iterator[str]:
    listing = loaded.listing
    yield from listing.problems
    yield from (one.mask_problem for one in loaded.images if one.mask_problem)
    images, rejected = select(loaded.images)
    if loaded.images and not images:
        first = rejected[0]
        yield (
            f"None of the {len(loaded.images)} files can be used. The first: {first.path.name}: {first.reason}"
        )
    if listing.problems or not images:
        return
    usable = Dataset(tuple(one.example for one in images))
    for check in (
        lambda: check_classes(usable, listing.data),
        lambda: check_patients(usable.patients, folds),
    ):
        try:
            check()
        except DatasetError as error:
            yield str(error)


def _duplicates(usable: Sequence[LoadedImage]) -> list[RejectedFile]:
    """Reject duplicate files: all if their labels contradict each other, otherwise all but the one that says most."""
    counts = Counter(one.digest for one in usable)
    groups: dict[bytes, list[Example]] = {}
    for one in usable:
        if counts[one.digest] > 1:
            groups.setdefault(one.digest, []).append(one.example)
    rejected = []
    for group in groups.values():
        if not set.intersection(*(set(example.allowed) for example in group)):
            categories = sorted({example.label for example in group})
            reason = f"The same image is in the folders of categories {' and '.join(categories)}."
            rejected += [RejectedFile(example.path, reason) for example in group]
        else:
            kept = min(group, key=lambda example: len(example.allowed))
            reason = f"A duplicate of {kept.path.name}."
            rejected += [RejectedFile(example.path, reason) for example in group if example is not kept]
    return rejected
