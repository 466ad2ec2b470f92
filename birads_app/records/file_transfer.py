"""Move the files of an installation from one place to another: for restores, and to change BIRADS_FILES_URL."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress

from birads_app.records import exam_copies, exam_packages, spool, upload_store
from birads_app.records.file_store import FOLDERS, IMAGES, FileStore

_AT_ONCE = 100  # exams between two reports


def copy(source: FileStore, target: FileStore, report: Callable[[str], None]) -> int:
    """Copy all files that the target has not yet; return the number of copied exams.

    Only call this while nothing stores exams in either place. It may be interrupted and repeated.

    Raises
    ------
    FilesUnavailable
        A bucket cannot be reached or is full.
    OSError
        A folder cannot be read or written.
    """
    copied, there = 0, exam_copies.exam_ids(target)
    for exam_id, image_id in _exams(source):
        if exam_id in there:
            continue
        with exam_copies.opened(source, exam_id, [image_id]) as exam:
            exam_copies.put(target, exam_id, [path.name for path in exam.iterdir() if path.is_dir()], exam)
        copied += 1
        if copied % _AT_ONCE == 0:
            report(f"Exams: {copied}")
    target_spool, target_uploads = spool.of(target, ""), upload_store.of(target, "")
    for file in spool.of(source, "").waiting():
        with suppress(FileNotFoundError), file.opened() as path:
            target_spool.adopt(file.name, path)
    for file in upload_store.of(source, "").waiting():
        with suppress(FileNotFoundError), file.opened() as path:
            target_uploads.adopt(file.name, path)
    return copied


def is_empty(store: FileStore) -> bool:
    """Return True if a place has neither exams nor files that wait."""
    if exam_copies.exam_ids(store):
        return False
    return not (spool.of(store, "").studies() or upload_store.of(store, "").names())


def clear(store: FileStore) -> None:
    """Remove everything from a place."""
    for name in FOLDERS:
        shutil.rmtree(store.folder / name, ignore_errors=True)
        if store.bucket is not None:
            store.bucket.remove(*(one.name for one in store.bucket.listing(f"{name}/")))


def _exams(store: FileStore) -> Iterator[tuple[str, str]]:
    """Yield each exam that has files, and the first of its images."""
    if store.bucket is not None:
        for package in sorted(exam_packages.stored(store.bucket), key=lambda one: one.exam_id):
            yield package.exam_id, package.image_id
        return
    for exam_id in sorted(exam_copies.exam_ids(store)):
        images = [path.parent.name for path in (store.folder / IMAGES / exam_id).glob("*/original.*")]
        if images:
            yield exam_id, min(images)
