"""All files of an exam at once, whatever place they are in: for checks, backups, and to move them to another place."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from birads_app.files import atomic
from birads_app.records import exam_packages, files
from birads_app.records.exam_packages import DERIVED, ORIGINALS
from birads_app.records.file_store import IMAGES, FileStore


@contextmanager
def opened(store: FileStore, exam_id: str, image_ids: Iterable[str]) -> Iterator[Path]:
    """Yield the folder of an exam's files, which may be missing; with a bucket a copy, not to be changed.

    Raises
    ------
    FilesUnavailable
        The bucket cannot be reached.
    """
    if store.bucket is None:
        yield store.folder / IMAGES / exam_id
        return
    package = exam_packages.package(exam_id, image_ids)
    with _draft(store) as draft:
        if package is not None:
            for kind in (ORIGINALS, DERIVED):
                exam_packages.fetch(store.bucket, package, kind, draft)
        yield draft


def put(store: FileStore, exam_id: str, image_ids: Iterable[str], exam: Path) -> None:
    """Store an exam from a folder of its files; what the store has of it already is replaced.

    Raises
    ------
    FileNotFoundError
        The folder has no original.
    FilesUnavailable
        The bucket cannot be reached or is full.
    """
    if store.bucket is None:
        target = store.folder / IMAGES / exam_id
        with _draft(store) as draft:
            for path in exam.glob("*/*"):
                if files.is_original(path.name) or files.is_derived(path.name):
                    (draft / path.parent.name).mkdir(mode=0o700, exist_ok=True)
                    shutil.copy2(path, draft / path.parent.name / path.name)
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
            atomic.sync_folder(target.parent)
        return
    package = exam_packages.package(exam_id, image_ids)
    if package is None:
        raise FileNotFoundError(exam)
    exam_packages.send(store.bucket, package, ORIGINALS, exam, files.is_original)
    if any(files.is_derived(path.name) for path in exam.glob("*/*")):
        exam_packages.send(store.bucket, package, DERIVED, exam, files.is_derived)


def exam_ids(store: FileStore) -> set[str]:
    """Return the ids of all exams that have files."""
    if store.bucket is not None:
        return {package.exam_id for package in exam_packages.stored(store.bucket)}
    folder = store.folder / IMAGES
    return {path.name for path in folder.iterdir() if path.name[0] != "."} if folder.is_dir() else set()


def remove(store: FileStore, exam_id: str) -> None:
    """Remove all files of an exam that has no row."""
    shutil.rmtree(store.folder / IMAGES / exam_id, ignore_errors=True)
    if store.bucket is not None:
        store.bucket.remove(*(one.name for one in store.bucket.listing(f"{IMAGES}/{exam_id}/")))


@contextmanager
def _draft(store: FileStore) -> Iterator[Path]:
    root = store.folder / IMAGES
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-copy-", dir=root))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
