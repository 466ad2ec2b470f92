"""Disk usage, measured without visiting millions of files."""

import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flask import current_app
from sqlalchemy import ColumnElement, func, select

from birads_app.records import database, files
from birads_app.records.database import FILE_NAME, session
from birads_app.records.schema import Assessment, Exam, Image, Removed
from birads_app.records.table_base import Base

# Folders of the instance by what they hold; all others, and files beside the database, are "other".
_FOLDERS = {
    "spool": ("spool",),
    "uploads": ("uploads",),
    "trainings": ("trainings", "training", "tuning", "logs"),
    "datasets": ("datasets", "dataset-checks"),
    "cache": ("cache",),
}
_IMAGES = "images"
_SAMPLED = 200
_FILES_MAX = 20_000


@dataclass(frozen=True)
class Size:
    """Disk usage of a folder.

    complete : False if there are more files than were counted
    """

    bytes: int
    files: int
    complete: bool = True


@dataclass(frozen=True)
class Storage:
    """Disk usage of the instance folder.

    kinds : bytes of all images' files by kind, such as ``original`` or ``heat``; estimated from ``sampled`` images if
        there are more
    folders : by what they hold; "other" is the rest of the instance folder
    free, total : bytes of the disk with the instance folder
    """

    exams: int
    images: int
    assessments: int
    database: int
    kinds: dict[str, int]
    sampled: int
    folders: dict[str, Size]
    free: int
    total: int


def measure() -> Storage:
    """Measure the disk usage, in a fraction of a second however many files there are."""
    instance = Path(current_app.instance_path)
    settings = current_app.extensions["birads_settings"]
    images = _count(Image)
    kinds, sampled = _kinds(images)
    disk = shutil.disk_usage(instance)
    return Storage(
        exams=_count(Exam, Exam.status != Removed.ERASED),
        images=images,
        assessments=_count(Assessment),
        database=database.of_app().size(),
        kinds=kinds,
        sampled=sampled,
        folders=_folders(instance, settings.models),
        free=disk.free,
        total=disk.total,
    )


def _folders(instance: Path, models: Path) -> dict[str, Size]:
    """Return the sizes of all that is in the instance folder besides database and images, and of the models."""
    named = {name for names in _FOLDERS.values() for name in names}
    others = [
        path
        for path in instance.iterdir()
        if path.name not in (*named, _IMAGES) and not path.name.startswith(FILE_NAME) and path != models
    ]
    return {
        **{kind: _size(*(instance / name for name in names)) for kind, names in _FOLDERS.items()},
        "models": _size(models),
        "other": _size(*others),
    }


def _count(table: type[Base], *conditions: ColumnElement[bool]) -> int:
    return session().scalar(select(func.count()).select_from(table).where(*conditions)) or 0


def _kinds(images: int) -> tuple[dict[str, int], int]:
    """Return the bytes of each kind of file, from all images or a random sample, and the number of images used.

    Ids are random, so the images that follow a random id are a random sample.
    """
    query = select(Image.exam_id, Image.id).order_by(Image.id).limit(_SAMPLED)
    if images > _SAMPLED:
        drawn = session().execute(query.where(Image.id >= secrets.token_hex(16))).all()
        drawn = [*drawn, *session().execute(query.limit(_SAMPLED - len(drawn) or 1)).all()][:_SAMPLED]
    else:
        drawn = list(session().execute(query).all())
    seen: Counter[str] = Counter()
    for exam_id, image_id in drawn:
        folder = files.root() / exam_id / image_id
        for path, size in _files(folder):
            first = path.relative_to(folder).parts[0]
            name = first.lstrip(".").removeprefix("part-")  # one that is being written counts as well
            seen[name.partition(".")[0].partition("-")[0]] += size
    share = images / len(drawn) if drawn else 0
    return {kind: round(size * share) for kind, size in seen.most_common()}, len(drawn)


def _size(*places: Path) -> Size:
    """Add up files, and files in folders, at most _FILES_MAX of them."""
    total = count = 0
    for place in places:
        for _, size in _files(place):
            total, count = total + size, count + 1
            if count == _FILES_MAX:
                return Size(total, count, complete=False)
    return Size(total, count)


def _files(path: Path) -> Iterator[tuple[Path, int]]:
    """Yield a file, or every file below a folder, with its size, except files that vanish meanwhile."""
    if path.is_file():
        with suppress(OSError):
            yield path, path.stat().st_size
    for place, _, names in os.walk(path):
        for name in names:
            path = Path(place, name)
            with suppress(OSError):
                yield path, path.stat().st_size
