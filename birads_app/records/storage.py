"""Disk usage, and that of a bucket, measured without visiting millions of files."""

import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flask import current_app
from sqlalchemy import ColumnElement, func, select

from birads_app.records import database, exam_packages, file_store, files, jobs
from birads_app.records.bucket import Bucket
from birads_app.records.database import FILE_NAME, session
from birads_app.records.errors import FilesUnavailable
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
_ASKED = 20  # of the images in a bucket
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

    kinds : bytes of all images' files by kind, such as ``original`` or ``heat``, in a bucket ``original`` and
        ``derived``; estimated from ``sampled`` images if there are more
    reached : False if the files are in a bucket that does not answer, so that ``kinds`` and some folders are missing
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
    reached: bool = True


@dataclass(frozen=True)
class ImageFiles:
    """Bytes of all images' files by kind, estimated from a number of images."""

    kinds: dict[str, int]
    sampled: int


def measure() -> Storage:
    """Measure the disk usage, in a fraction of a second however many files there are."""
    instance, store = Path(current_app.instance_path), file_store.of_app()
    settings = current_app.extensions["birads_settings"]
    folders = _folders(instance, store.folder, settings.models)
    disk = shutil.disk_usage(instance)
    reached, found = True, ImageFiles({}, 0)
    try:
        found = image_files()
        if store.bucket is not None:
            folders |= _in_bucket(store.bucket)
    except FilesUnavailable:
        reached = False
    return Storage(
        exams=_count(Exam, Exam.status != Removed.ERASED),
        images=_count(Image),
        assessments=_count(Assessment),
        database=database.of_app().size(),
        kinds=found.kinds,
        sampled=found.sampled,
        folders=folders,
        free=disk.free,
        total=disk.total,
        reached=reached,
    )


def image_files() -> ImageFiles:
    """Measure images' files, or a random sample of them; raises FilesUnavailable."""
    bucket, images = file_store.of_app().bucket, _count(Image)
    drawn = _drawn(images, _SAMPLED if bucket is None else _ASKED)
    seen = _seen(drawn) if bucket is None else _seen_in(bucket, drawn)
    share = images / len(drawn) if drawn else 0
    return ImageFiles({kind: round(size * share) for kind, size in seen.most_common()}, len(drawn))


def _folders(instance: Path, shared: Path, models: Path) -> dict[str, Size]:
    """Return the sizes of all that is in the instance folder besides database and images, and of the models.

    Parameters
    ----------
    shared : has the spool and the uploads
    """
    named = {name for names in _FOLDERS.values() for name in names}
    others = [
        path
        for path in instance.iterdir()
        if path.name not in (*named, _IMAGES) and not path.name.startswith(FILE_NAME) and path != models
    ]
    places = {"spool": shared, "uploads": shared}
    return {
        **{
            kind: _size(*(places.get(kind, instance) / name for name in names))
            for kind, names in _FOLDERS.items()
        },
        "models": _size(models),
        "other": _size(*others),
    }


def _in_bucket(bucket: Bucket) -> dict[str, Size]:
    """Return the sizes of what waits in a bucket, and of this machine's copies of exams."""
    spooled = bucket.listing(f"{file_store.SPOOL}/")
    waiting = jobs.open_uploads().values()
    return {
        "spool": Size(sum(one.size for one in spooled), len(spooled)),
        "uploads": Size(sum(taken for _, taken in waiting), sum(number for number, _ in waiting)),
        "copies": _size(files.root()),
    }


def _count(table: type[Base], *conditions: ColumnElement[bool]) -> int:
    return session().scalar(select(func.count()).select_from(table).where(*conditions)) or 0


def _drawn(images: int, most: int) -> Sequence[tuple[str, str]]:
    """Return exam and id of all images, or of a random sample.

    Ids are random, so the images that follow a random id are a random sample.
    """
    query = select(Image.exam_id, Image.id).order_by(Image.id).limit(most)
    if images <= most:
        return [(row[0], row[1]) for row in session().execute(query)]
    drawn = session().execute(query.where(Image.id >= secrets.token_hex(16))).all()
    drawn = [*drawn, *session().execute(query.limit(most - len(drawn) or 1)).all()][:most]
    return [(row[0], row[1]) for row in drawn]


def _seen(drawn: Sequence[tuple[str, str]]) -> Counter[str]:
    """Return the bytes of the files of some images in a folder, by kind."""
    seen: Counter[str] = Counter()
    for exam_id, image_id in drawn:
        folder = files.root() / exam_id / image_id
        for path, size in _files(folder):
            first = path.relative_to(folder).parts[0]
            name = first.lstrip(".").removeprefix("part-")  # one that is being written counts as well
            seen[name.partition(".")[0].partition("-")[0]] += size
    return seen


def _seen_in(bucket: Bucket, drawn: Sequence[tuple[str, str]]) -> Counter[str]:
    """Return the bytes of some images in a bucket, by kind; takes a request for each."""
    seen: Counter[str] = Counter()
    for exam_id, _ in drawn:
        images = _count(Image, Image.exam_id == exam_id)
        for one in bucket.listing(f"{_IMAGES}/{exam_id}/"):
            kind = "original" if exam_packages.ORIGINALS in one.name else "derived"
            seen[kind] += one.size // images
    return seen


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
