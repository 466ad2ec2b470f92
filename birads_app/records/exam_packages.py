"""Files of exams in a bucket: two objects for each exam, ``images/<exam id>/<image id>-{originals,derived}.tar``.

The image is the exam's first by id, so that two attempts to store one exam never replace each other's files. Before the
objects of an exam are stored or removed, an empty object ``intents/<exam id>-<image id>`` is: what an ended process has
left is found by it, however many exams there are.
"""

import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from birads_app.records.bucket import Bucket
from birads_app.records.file_store import ABANDONED_S, IMAGES

_INTENTS = "intents/"
_MEMBER = re.compile(r"\w+/\w[\w.-]*")
_KINDS = ORIGINALS, DERIVED = "originals", "derived"


@dataclass(frozen=True)
class Package:
    """Names of an exam's objects."""

    exam_id: str
    image_id: str

    @property
    def intent(self) -> str:
        """Name of the object that exists while the exam is stored or removed, and for an hour."""
        return f"{_INTENTS}{self.exam_id}-{self.image_id}"

    def name(self, kind: str) -> str:
        """Return the name of the object with the originals or the derived files."""
        return f"{IMAGES}/{self.exam_id}/{self.image_id}-{kind}.tar"


def package(exam_id: str, image_ids: Iterable[str]) -> Package | None:
    """Return the names of an exam's objects; None for an exam without images, which has none."""
    first = min(image_ids, default=None)
    return None if first is None else Package(exam_id, first)


def announce(bucket: Bucket, one: Package) -> None:
    """Note that an exam is about to be stored or removed."""
    bucket.write(one.intent, b"")


def send(bucket: Bucket, one: Package, kind: str, exam: Path, includes: Callable[[str], bool]) -> None:
    """Store the files of an exam's folder whose names are included as one object; raises FileNotFoundError.

    Parameters
    ----------
    exam : has a folder for each image
    """
    chosen = [path for path in sorted(exam.glob("*/*")) if includes(path.name)]
    if not chosen:
        raise FileNotFoundError(exam)
    handle, draft = tempfile.mkstemp(prefix=".draft-", dir=exam)
    try:
        with os.fdopen(handle, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as tar:
            for path in chosen:
                with path.open("rb") as content:
                    entry = tarfile.TarInfo(path.relative_to(exam).as_posix())
                    entry.size, entry.mode = os.fstat(content.fileno()).st_size, 0o600
                    tar.addfile(entry, content)
        bucket.send(Path(draft), one.name(kind))
    finally:
        Path(draft).unlink(missing_ok=True)


def fetch(bucket: Bucket, one: Package, kind: str, exam: Path) -> bool:
    """Add the files of an object to an exam's folder, each in one step; return False if there is no such object."""
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=exam) as draft:
        archive = Path(draft, "package.tar")
        try:
            bucket.fetch(one.name(kind), archive)
        except FileNotFoundError:
            return False
        with tarfile.open(archive) as tar:
            for entry in tar:
                content = tar.extractfile(entry)
                if content is None or not _MEMBER.fullmatch(entry.name):
                    raise ValueError(f"{one.name(kind)} has a member that no package has")
                part = Path(draft, "part")
                with part.open("wb") as stream:
                    shutil.copyfileobj(content, stream)
                (exam / entry.name).parent.mkdir(mode=0o700, exist_ok=True)
                part.replace(exam / entry.name)
    return True


def remove(bucket: Bucket, one: Package) -> None:
    """Remove an exam's objects."""
    bucket.remove(*(one.name(kind) for kind in _KINDS))


def sweep(bucket: Bucket, is_stored: Callable[[Package], bool], abandoned_s: float | None = None) -> int:
    """Remove what ended processes have left, an hour after they began; return the number of removed packages.

    Parameters
    ----------
    is_stored : True if the database has the exam with its images
    abandoned_s : the hour, in seconds; 0 only while nothing stores exams
    """
    age = ABANDONED_S if abandoned_s is None else abandoned_s
    removed, until = 0, datetime.now(UTC) - timedelta(seconds=age)
    for intent in bucket.listing(_INTENTS):
        if intent.stored_at > until:
            continue
        one = Package(*intent.name.removeprefix(_INTENTS).split("-", 1))
        if not is_stored(one):
            remove(bucket, one)
            removed += 1
        bucket.remove(intent.name)
    return removed


def announced(bucket: Bucket) -> set[Package]:
    """Return the exams that are being stored or removed, or were within the last hour."""
    names = [one.name.removeprefix(_INTENTS) for one in bucket.listing(_INTENTS)]
    return {Package(*name.split("-", 1)) for name in names}


def stored(bucket: Bucket) -> set[Package]:
    """Return all exams that have originals."""
    end = f"-{ORIGINALS}.tar"
    names = [one.name.split("/") for one in bucket.listing(f"{IMAGES}/")]
    return {Package(parts[1], parts[2].removesuffix(end)) for parts in names if parts[2].endswith(end)}
