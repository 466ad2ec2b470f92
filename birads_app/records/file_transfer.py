"""Move the files of an installation from one place to another: for restores, and to change BIRADS_FILES_URL."""

import filecmp
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from birads_app.config import SettingsError
from birads_app.files import atomic
from birads_app.records import exam_copies, exam_packages, files, spool, upload_store
from birads_app.records.bucket import Bucket
from birads_app.records.file_store import FOLDERS, IMAGES, FileStore
from birads_app.records.spool import Spool
from birads_app.records.upload_store import UploadStore
from birads_app.records.waiting_files import WaitingFile

_AT_ONCE = 100  # exams between two reports
_MARK = "copying"


class FilesNotCopied(SettingsError):
    """The source has files that belong to no exam, or what was copied to a place is not as it was."""


@dataclass(frozen=True)
class Copied:
    """Numbers of exams, and of received objects and uploads that wait, that a place has now of another."""

    exams: int
    waiting: int


def copy(source: FileStore, target: FileStore, report: Callable[[str], None]) -> Copied:
    """Copy all files that the target has not yet, and compare each with its source.

    Only call this while nothing stores exams in either place. It may be interrupted and repeated: until it is through,
    :func:`may_copy_into` is true for the target.

    Raises
    ------
    FilesNotCopied
        A file that was copied is not as it was, or it is not certain which files are those of an exam.
    FilesUnavailable
        A bucket cannot be reached or is full.
    OSError
        A folder cannot be read or written.
    """
    _mark(target)
    exams = waiting = 0
    there = exam_copies.exam_ids(target)
    for exams, (exam_id, image_id) in enumerate(_exams(source), 1):  # noqa: B007
        with exam_copies.opened(source, exam_id, [image_id]) as exam:
            if exam_id not in there or not _is_same(exam, target, exam_id, image_id):
                images = [path.name for path in exam.iterdir() if path.is_dir()]
                exam_copies.put(target, exam_id, images, exam)
                if not _is_same(exam, target, exam_id, image_id):
                    raise _differing(f"{IMAGES}/{exam_id}", target)
        if exams % _AT_ONCE == 0:
            report(f"Exams: {exams}")
    for kept, added in (
        (spool.of(source, ""), spool.of(target, "")),
        (upload_store.of(source, ""), upload_store.of(target, "")),
    ):
        waiting += _copy_waiting(kept.waiting(), added, target)
    _unmark(target)
    return Copied(exams, waiting)


def may_copy_into(store: FileStore) -> bool:
    """Return True if a place is empty, or has what an interrupted :func:`copy` has left."""
    return _is_marked(store) or is_empty(store)


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
    _unmark(store)


def _copy_waiting(found: Sequence[WaitingFile], added: Spool | UploadStore, target: FileStore) -> int:
    """Copy received objects or uploads; return their number."""
    for file in found:
        with file.opened() as path:
            added.adopt(file.name, path)
    copies = {copied.name: copied for copied in added.waiting()}
    for file in found:
        if file.name not in copies:
            raise _differing(file.name, target)
        with file.opened() as path, copies[file.name].opened() as copied:
            if not filecmp.cmp(path, copied, shallow=False):
                raise _differing(file.name, target)
    return len(found)


def _is_same(exam: Path, target: FileStore, exam_id: str, image_id: str) -> bool:
    """Return True if the target has an exam's files as they are in a folder."""
    with exam_copies.opened(target, exam_id, [image_id]) as copied:
        names = _names(exam)
        return names == _names(copied) and all(
            filecmp.cmp(exam / name, copied / name, shallow=False) for name in names
        )


def _differing(name: str, target: FileStore) -> FilesNotCopied:
    return FilesNotCopied(
        f"The copy of {name} in {target.name} differs from its source. Start the copy again."
    )


def _names(exam: Path) -> list[str]:
    """Return the originals and derived files in an exam's folder."""
    found = [path for path in exam.glob("*/*") if files.is_original(path.name) or files.is_derived(path.name)]
    return sorted(path.relative_to(exam).as_posix() for path in found)


def _exams(store: FileStore) -> Iterator[tuple[str, str]]:
    """Yield each exam that has files, and the first of its images."""
    if store.bucket is not None:
        found = sorted(exam_packages.stored(store.bucket), key=lambda one: one.exam_id)
        for package, following in zip_longest(found, found[1:]):
            if following is not None and following.exam_id == package.exam_id:
                raise FilesNotCopied(
                    f"{store.name} has files of an interrupted upload besides those of exam {package.exam_id}. "
                    "Remove them first: `flask fsck --repair`."
                )
            yield package.exam_id, package.image_id
        return
    for exam_id in sorted(exam_copies.exam_ids(store)):
        images = [path.parent.name for path in (store.folder / IMAGES / exam_id).glob("*/original.*")]
        if images:
            yield exam_id, min(images)


def _mark(store: FileStore) -> None:
    if store.bucket is not None:
        store.bucket.write(_MARK, b"")
    else:
        store.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (store.folder / f".{_MARK}").touch()
        atomic.sync_folder(store.folder)


def _unmark(store: FileStore) -> None:
    if store.bucket is not None:
        store.bucket.remove(_MARK)
    else:
        (store.folder / f".{_MARK}").unlink(missing_ok=True)


def _is_marked(store: FileStore) -> bool:
    if store.bucket is not None:
        return _has(store.bucket, _MARK)
    return (store.folder / f".{_MARK}").exists()


def _has(bucket: Bucket, name: str) -> bool:
    return any(one.name == name for one in bucket.listing(name))
