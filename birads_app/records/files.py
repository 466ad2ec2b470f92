"""Image files of exams: ``images/<exam id>/<image id>/{original.dcm, original.sha256, display.jpg, ...}``.

Folders are created and removed as a whole: files are written into a draft folder, which is renamed once complete. If
the files are in a bucket (:mod:`birads_app.records.exam_packages`), this folder has those that this machine used last.
"""

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from birads_app.files import atomic, locks
from birads_app.imaging.dicom.part10 import Chunks, without_preamble
from birads_app.records import checksums, exam_packages, file_store, shared_locks
from birads_app.records.errors import FilesUnavailable, NotFound
from birads_app.records.exam_packages import DERIVED, ORIGINALS, Package
from birads_app.records.schema import Exam, Image
from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import msg

DISPLAY_MAX, THUMB_MAX = 2048, 160
_JPEG_QUALITY = 93
# An original by the format that the decoder found: (suffix, media type).
_ORIGINALS = {
    "DICOM": ("dcm", "application/dicom"),
    "PNG": ("png", "image/png"),
    "JPEG": ("jpg", "image/jpeg"),
    "TIFF": ("tif", "image/tiff"),
    "BMP": ("bmp", "image/bmp"),
    "PGM": ("pgm", "image/x-portable-graymap"),
}
# A reduced image without compression, until display and thumbnail are made of it.
PREVIEW = "preview.pgm"
_DRAFT, _PENDING, _REMOVED, _LOCK = ".draft-", ".pending-", ".removed-", ".lock-"
_FETCH = f"{_LOCK}fetch-"
_HOST = re.sub(r"\W", "", socket.gethostname())
_DERIVED = re.compile(r"(display|thumb)\.jpg|heat-\w+\.png")


def root() -> Path:
    """Return the folder of all exams' images; create it if missing."""
    folder = file_store.of_app().folder / file_store.IMAGES
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def only_one(exam_id: str) -> AbstractContextManager[None]:
    """Let one request at a time store an exam whose id was known before."""
    return shared_locks.of_app().exclusive(f"{root().name}/{_LOCK}{exam_id}", remove=True)


def lock_name(image: Image, name: str) -> str:
    """Return the name of a lock in the folder of an image, for :mod:`birads_app.records.shared_locks`."""
    return f"{root().name}/{image.exam_id}/{image.id}/{name}"


def open_draft() -> Path:
    """Create an empty folder for the images of a new exam."""
    return Path(tempfile.mkdtemp(prefix=f"{_DRAFT}{_HOST}-{os.getpid()}-", dir=root()))


def discard(draft: Path) -> None:
    """Remove a draft."""
    shutil.rmtree(draft, ignore_errors=True)


def write_original(folder: Path, source: str, original: Chunks, *, uncompressed: bool = False) -> None:
    """Write an original and its checksum into the new folder of an image in a draft; :func:`flush` follows.

    Parameters
    ----------
    source : format, such as ``DICOM``
    original : its bytes, in chunks
    uncompressed : True if :func:`birads_app.records.derived_files.compress` will write the checksum
    """
    folder.mkdir(mode=0o700)
    path, chunks = folder / _name(source, "original"), without_preamble(original)
    with path.open("wb") as stream:
        stream.writelines(chunks)
    if not uncompressed:
        checksums.write_new(path, chunks)


def flush(draft: Path, image_id: str) -> None:
    """Flush an image's original and its checksum to the disk, which takes longer than to write them."""
    folder = draft / image_id
    for path in folder.glob("original.*"):
        atomic.sync_file(path)
    atomic.sync_folder(folder)


def write_preview(draft: Path, image_id: str, pixels: np.ndarray) -> None:
    """Write what :func:`finish_previews` needs, from uint16 pixels of shape (height, width)."""
    (draft / image_id / PREVIEW).write_bytes(_encode(".pgm", reduced(pixels, DISPLAY_MAX)))


def finish_previews(folder: Path) -> None:
    """Write display and thumbnail of an image for which :func:`write_preview` was called."""
    preview = folder / PREVIEW
    pixels = cv2.imdecode(np.frombuffer(preview.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None  # written above
    write_previews(folder, pixels)
    preview.unlink(missing_ok=True)


def drop_previews(exam: Path) -> None:
    """Remove what an ended process has left for :func:`finish_previews` in the folder of an exam."""
    for preview in exam.glob(f"*/{PREVIEW}"):
        preview.unlink(missing_ok=True)


def write_previews(folder: Path, preview: np.ndarray) -> None:
    """Write an image's display and thumbnail from a uint8 array of at most :data:`DISPLAY_MAX` pixels per side."""
    for kind, longest in (("display", DISPLAY_MAX), ("thumb", THUMB_MAX)):
        picture = _encode(".jpg", reduced(preview, longest), cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
        atomic.write(folder / f"{kind}.jpg", picture)


def write_heat_map(folder: Path, code: str, picture: np.ndarray) -> None:
    """Write the heat map of a category, a uint8 RGBA array of shape (height, width, 4)."""
    atomic.write(folder / f"heat-{code}.png", _encode(".png", cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA)))


def reduced(pixels: np.ndarray, longest: int) -> np.ndarray:
    """Reduce uint8 or uint16 pixels of shape (height, width) to uint8, at most ``longest`` pixels per side."""
    scale = longest / max(pixels.shape)
    if scale < 1:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def part_of(draft: Path, image_ids: Iterable[str]) -> Path:
    """Move images of a draft into a draft of their own, and return that."""
    part = open_draft()
    for image_id in image_ids:
        (draft / image_id).rename(part / image_id)
    return part


def deposit(draft: Path, exam: Exam) -> None:
    """Store the originals of a complete draft in the bucket, if there is one, before the exam is in the database.

    Raises
    ------
    FilesUnavailable
        The bucket cannot be reached or is full.
    """
    bucket, package = file_store.of_app().bucket, _package(exam)
    if bucket is not None and package is not None:
        exam_packages.announce(bucket, package)
        exam_packages.send(bucket, package, ORIGINALS, draft, is_original)


def retract(exam: Exam) -> None:
    """Undo :func:`deposit`; what another process has stored of the exam stays."""
    _remove_package(_package(exam))


def publish(draft: Path, exam: Exam) -> None:
    """Rename a complete draft to its final name; pending until :func:`confirm` or :func:`withdraw`."""
    atomic.sync_folder(draft)
    _pending(exam).touch()
    draft.rename(_folder(exam))
    atomic.sync_folder(root())


def confirm(exam: Exam) -> None:
    """Mark the exam of a published folder as stored in the database."""
    _pending(exam).unlink(missing_ok=True)


def withdraw(exam: Exam) -> None:
    """Remove the files of an exam that was not stored in the database."""
    shutil.rmtree(_folder(exam), ignore_errors=True)
    _pending(exam).unlink(missing_ok=True)
    retract(exam)


@dataclass(frozen=True)
class SetAside:
    """An exam's folder, renamed before its deletion."""

    exam_id: str
    package: Package | None

    def put_back(self) -> None:
        """Undo :func:`set_aside`."""
        with suppress(FileNotFoundError):
            self._path().rename(root() / self.exam_id)

    def remove(self) -> None:
        """Remove the files for good, once the exam is not in the database any more."""
        shutil.rmtree(self._path(), ignore_errors=True)
        _remove_package(self.package)

    def _path(self) -> Path:
        return root() / f"{_REMOVED}{self.exam_id}"


def set_aside(exam: Exam) -> SetAside:
    """Rename an exam's folder before deletion, so that it can be put back; raises FilesUnavailable."""
    bucket, aside = file_store.of_app().bucket, SetAside(exam.id, _package(exam))
    if bucket is not None and aside.package is not None:
        exam_packages.announce(bucket, aside.package)  # so that a kill cannot keep the files
    with suppress(FileNotFoundError):  # another request is deleting it too
        _folder(exam).rename(root() / f"{_REMOVED}{exam.id}")
    return aside


def folders() -> list[Path]:
    """Return the folders of exams; an exam that is being stored or deleted may not have its row any more or yet."""
    return sorted(path for path in root().iterdir() if not path.name.startswith("."))


def is_pending(exam_id: str) -> bool:
    """Return True while the exam of a published folder may not be in the database yet."""
    return (root() / f"{_PENDING}{exam_id}").exists()


def suffix(source: str) -> str:
    """Return the file suffix of an original in this format, without the dot."""
    return _ORIGINALS[source][0]


def media_type(image: Image) -> str:
    """Return the media type of an image's original."""
    return _ORIGINALS[image.source][1]


def path(image: Image, kind: str) -> Path:
    """Return the file of an image.

    Parameters
    ----------
    kind : ``display`` or ``thumb`` (8-bit JPEG, large and small), ``original``, or ``heat-<code>`` (RGBA PNG)

    Raises
    ------
    NotFound
        The kind is unknown, or the file is missing.
    FilesUnavailable
        It is in a bucket, which cannot be reached.
    """
    found = expected_path(image, kind)
    if not found.is_file() and not fetch(image, kind):
        raise NotFound(msg("image-file-missing"))
    if file_store.of_app().bucket is not None:
        os.utime(root() / image.exam_id)  # those used longest ago are removed first
    return found


def fetch(image: Image, kind: str) -> bool:
    """Copy the originals of an image's exam, or its derived files, from the bucket; return True if the file is there.

    Errors as :func:`path`.
    """
    bucket, package = file_store.of_app().bucket, _package(image.exam)
    if bucket is None or package is None:
        return False
    found, exam = expected_path(image, kind), root() / image.exam_id
    with locks.exclusive(root() / f"{_FETCH}{image.exam_id}", remove=True):
        if not found.is_file():  # another request may have fetched it meanwhile
            exam.mkdir(mode=0o700, exist_ok=True)
            exam_packages.fetch(bucket, package, ORIGINALS if kind == "original" else DERIVED, exam)
    return found.is_file()


def keep(exam_id: str, image_ids: Iterable[str], kinds: Iterable[str] = (DERIVED,)) -> None:
    """Store files that were made in an exam's folder in the bucket, if there is one.

    Raises
    ------
    FileNotFoundError
        The exam was deleted meanwhile.
    FilesUnavailable
        The bucket cannot be reached or is full.
    """
    bucket, package = file_store.of_app().bucket, exam_packages.package(exam_id, image_ids)
    for kind in kinds if bucket is not None else ():
        assert bucket is not None and package is not None  # there are files, and so images
        includes = is_original if kind == ORIGINALS else is_derived
        exam_packages.send(bucket, package, kind, root() / exam_id, includes)


def expected_path(image: Image, kind: str) -> Path:
    """Return where the file of an image is, or will be; raises NotFound if the kind is unknown."""
    kinds = {"display", "thumb", "original", *(f"heat-{code}" for code in image.prediction.probabilities)}
    if kind not in kinds:
        raise NotFound(msg("image-kind-unknown", kind=repr(kind), kinds=", ".join(sorted(kinds))))
    return folder(image) / _name(image.source, kind)


def is_derived(name: str) -> bool:
    """Return True for the name of a display image, a thumbnail or a heat map."""
    return _DERIVED.fullmatch(name) is not None


def is_original(name: str) -> bool:
    """Return True for the name of an original or its checksum."""
    return name.startswith("original.")


def dicom_original(folder: Path) -> Path:
    """Return the original in the folder of a DICOM image."""
    return folder / _name("DICOM", "original")


def folder(image: Image) -> Path:
    """Return the folder of a stored image's files."""
    return root() / image.exam_id / image.id


def remove_leftovers(is_recorded: Callable[[str], bool], abandoned_s: float = 0) -> None:
    """Complete or undo what a crash interrupted.

    Parameters
    ----------
    is_recorded : True for the id of an exam in the database
    abandoned_s : age from which on something is a leftover; 0 only while no other process stores exams
    """
    for draft in _abandoned(_DRAFT, abandoned_s):
        discard(draft)
    for aside in _abandoned(_REMOVED, abandoned_s):
        exam_id = aside.name.removeprefix(_REMOVED)
        if is_recorded(exam_id):
            aside.rename(root() / exam_id)
        else:
            shutil.rmtree(aside, ignore_errors=True)
    for pending in _abandoned(_PENDING, abandoned_s):
        exam_id = pending.name.removeprefix(_PENDING)
        if not is_recorded(exam_id):
            shutil.rmtree(root() / exam_id, ignore_errors=True)
        pending.unlink()
    for lock in _abandoned(_LOCK, abandoned_s):
        lock.unlink()


def remove_orphaned_drafts() -> None:
    """Remove drafts of killed processes of this machine; safe while others store exams."""
    for draft in root().glob(f"{_DRAFT}{_HOST}-*"):
        owner = draft.name.removeprefix(f"{_DRAFT}{_HOST}-").partition("-")[0]
        try:
            os.kill(int(owner), 0)  # signal 0 only checks that the process exists
        except ProcessLookupError:
            discard(draft)
        except (PermissionError, ValueError):
            continue


def _abandoned(prefix: str, seconds: float) -> Iterator[Path]:
    """Yield the files and folders beside those of exams to which nothing was added for so long."""
    for path in root().glob(f"{prefix}*"):
        with suppress(FileNotFoundError):  # completed meanwhile
            if time.time() - path.stat().st_ctime >= seconds:  # of a renamed folder, since it was renamed
                yield path


def _encode(suffix: str, picture: np.ndarray, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, picture, list(options))
    if not done:
        raise BiradsError(msg("image-encoding-failed"))
    return data.tobytes()


def _folder(exam: Exam) -> Path:
    return root() / exam.id


def _package(exam: Exam) -> Package | None:
    return exam_packages.package(exam.id, (image.id for image in exam.images))


def _remove_package(package: Package | None) -> None:
    """Remove an exam's objects from the bucket; if it cannot be reached, :func:`exam_packages.sweep` does it later."""
    bucket = file_store.of_app().bucket
    if bucket is not None and package is not None:
        with suppress(FilesUnavailable):
            exam_packages.remove(bucket, package)


def _pending(exam: Exam) -> Path:
    """Return the marker of a published folder whose exam may not be in the database yet."""
    return root() / f"{_PENDING}{exam.id}"


def _name(source: str, kind: str) -> str:
    if kind == "original":
        return f"original.{suffix(source)}"
    return f"{kind}.jpg" if kind in ("display", "thumb") else f"{kind}.png"
