"""Backup of a running installation into one archive.

The order keeps every exam that was acknowledged before the backup began. The spool and waiting uploads are copied
before the database, because they are removed once their exams are in the database. The database is copied before the
images, because an exam's files are complete when it is in the database and are not changed afterwards, except that an
original may be replaced by the same one compressed. If an exam is deleted before its files are copied, the database is
copied again.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from flask import current_app
from sqlalchemy import select

from birads_app.config import Settings
from birads_app.maintenance import archive, keys_file
from birads_app.maintenance.archive import ArchiveWriter, Description
from birads_app.maintenance.errors import MaintenanceError
from birads_app.model import bundles, registry
from birads_app.records import (
    checksums,
    database,
    derived_files,
    exam_copies,
    file_store,
    files,
    migrate,
    site_keys,
    spool,
    table_copy,
    upload_store,
)
from birads_app.records.schema import Image
from birads_app.version import __version__

_REPORT_S = 5
_DELETION_S = 5  # a deletion takes milliseconds between its files and its row

Report = Callable[[str], None]


@dataclass(frozen=True)
class BackupSummary:
    """Result of a backup.

    problems : files that were damaged or missing before, which the backup has as they are
    """

    exams: int
    bytes: int
    problems: list[str] = field(default_factory=list)


def back_up(target: Path, report: Report) -> BackupSummary:
    """Write the archive.

    Raises
    ------
    MaintenanceError
        The target cannot be written or lies inside the installation's folders, the database is damaged, or the
        site key is not its own.
    """
    settings: Settings = current_app.extensions["birads_settings"]
    target = target.absolute()
    for inside in (settings.instance, settings.models):
        if target.is_relative_to(inside):
            raise MaintenanceError(f"The backup must not lie inside {inside}. Choose another folder.")
    if not site_keys.fits(database.of_app(), str(current_app.extensions["birads_site_key"])):
        raise MaintenanceError(
            "The database is encrypted with another site key. Put the right key back first."
        )
    if not migrate.is_current():
        raise MaintenanceError("The database is not prepared. Run `flask db upgrade`.")
    try:
        with archive.creating(target) as writer:
            summary = _write(writer, settings, report)
            report("Verifying the archive")
        return summary
    except OSError as error:
        raise MaintenanceError(f"{target} was not written: {error.strerror}.") from error


def _write(writer: ArchiveWriter, settings: Settings, report: Report) -> BackupSummary:
    _add_waiting(writer)
    snapshot = writer.folder / database.FILE_NAME
    problems: list[str] = []
    copied: set[str] = set()
    complete = False
    while not complete:  # an exam was deleted before its files were copied
        copied_at = datetime.now(UTC)
        snapshot.unlink(missing_ok=True)
        table_copy.into_file(database.of_app(), snapshot)
        with closing(sqlite3.connect(snapshot)) as copy:
            _check_database(copy)
            complete = _add_exams(writer, copy, copied, problems, report)
            schema = str(copy.execute("SELECT version_num FROM alembic_version").fetchone()[0])
            exam_ids = {str(row[0]) for row in copy.execute("SELECT DISTINCT exam_id FROM images")}
    if copied - exam_ids:
        writer.leave_out({f"images/{exam_id}" for exam_id in copied - exam_ids})
    _add_models(writer, settings.models)
    writer.confirm(database.FILE_NAME, writer.add(database.FILE_NAME, snapshot))
    key_check = keys_file.check_value(current_app.extensions["birads_site_key"])
    moment = copied_at.isoformat(timespec="seconds")
    writer.finish(Description(archive.FORMAT, __version__, schema, moment, len(exam_ids), key_check))
    return BackupSummary(len(exam_ids), writer.bytes, problems)


def _check_database(copy: sqlite3.Connection) -> None:
    found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise MaintenanceError(
            f"The database is damaged ({found}). Stop the service, copy the instance folder as it is, and "
            "restore the last backup."
        )


def _add_waiting(writer: ArchiveWriter) -> None:
    """Copy received objects and waiting uploads; one that vanishes meanwhile has become part of an exam."""
    for file in (*spool.of_app().waiting(), *upload_store.of_app().waiting()):
        with suppress(FileNotFoundError), file.opened() as path:
            writer.confirm(file.name, writer.add(file.name, path))


def _add_exams(
    writer: ArchiveWriter, copy: sqlite3.Connection, copied: set[str], problems: list[str], report: Report
) -> bool:
    """Copy the files of all exams that are not copied yet; return False if one was deleted meanwhile."""
    ids = [row[0] for row in copy.execute("SELECT DISTINCT exam_id FROM images ORDER BY exam_id")]
    complete, reported = True, time.monotonic()
    for number, exam_id in enumerate(ids, 1):
        if exam_id in copied:
            continue
        images = copy.execute(
            "SELECT id, source FROM images WHERE exam_id = ? ORDER BY id", (exam_id,)
        ).fetchall()
        added = _add_exam(writer, exam_id, images, problems)
        if added is None:
            complete = False
        else:
            copied.add(exam_id)
            for name, digest in added:
                writer.confirm(name, digest)
        if time.monotonic() - reported > _REPORT_S:
            reported = time.monotonic()
            report(f"Exams: {number} of {len(ids)}, {writer.bytes / 1e9:.1f} GB")
    return complete


def _add_exam(
    writer: ArchiveWriter, exam_id: str, images: list[tuple[str, str]], problems: list[str]
) -> list[tuple[str, str]] | None:
    """Copy an exam's files; return their names and digests, or None if it was deleted meanwhile."""
    with exam_copies.opened(file_store.of_app(), exam_id, [image_id for image_id, _ in images]) as exam:
        return _add_files(writer, exam_id, exam, images, problems)


def _add_files(
    writer: ArchiveWriter, exam_id: str, exam: Path, images: list[tuple[str, str]], problems: list[str]
) -> list[tuple[str, str]] | None:
    """Copy the files of an exam's folder; return as :func:`_add_exam`."""
    added: list[tuple[str, str]] = []
    marker = derived_files.marker(files.root(), exam_id)
    with suppress(FileNotFoundError):
        name = f"{file_store.IMAGES}/{marker.name}"
        added.append((name, writer.add(name, marker)))
    for image_id, source in images:
        folder, place = exam / image_id, f"{file_store.IMAGES}/{exam_id}/{image_id}"
        original = folder / f"original.{files.suffix(source)}"
        accepted = checksums.read(folder)
        try:
            digest = writer.add(f"{place}/{original.name}", original)
        except FileNotFoundError:
            if _is_deleted(exam_id, original):
                return None
            problems.append(f"exam {exam_id}, image {image_id}: the original is missing")
            continue
        added.append((f"{place}/{original.name}", digest))
        # It may have been compressed meanwhile.
        if accepted and digest not in accepted | checksums.read(folder):
            problems.append(f"exam {exam_id}, image {image_id}: the original differs from its checksum")
        elif accepted:
            accepted = {digest}
        added += _add_others(writer, place, folder, checksums.as_text(original.name, accepted))
    return added


def _add_others(
    writer: ArchiveWriter, place: str, folder: Path, checksum: bytes
) -> Iterator[tuple[str, str]]:
    """Copy the checksum of an original, and the derived files that there are; return as :func:`_add_exam`."""
    if checksum:
        name = f"{place}/{checksums.NAME}"
        yield name, writer.add_bytes(name, checksum)
    with suppress(FileNotFoundError):  # deleted meanwhile, or replaced; they can be made again
        for path in sorted(folder.iterdir()):
            if files.is_derived(path.name):
                yield f"{place}/{path.name}", writer.add(f"{place}/{path.name}", path)


def _is_deleted(exam_id: str, original: Path) -> bool:
    """Wait while an exam is being deleted; return True if it is, or if its deletion failed and its files are back."""
    until = time.monotonic() + _DELETION_S
    while time.monotonic() < until:
        has_images = select(Image.id).where(Image.exam_id == exam_id).limit(1)
        if database.session().scalar(has_images) is None or original.exists():
            return True
        time.sleep(0.05)
    return False


def _add_models(writer: ArchiveWriter, models: Path) -> None:
    """Copy the models; a bundle's card may be replaced meanwhile, its other files may not."""
    for file in (registry.CURRENT, registry.OVERRIDES):
        with suppress(FileNotFoundError):
            writer.confirm(f"models/{file}", writer.add(f"models/{file}", models / file))
    for bundle in bundles.list_names(models):
        manifest = (models / bundle / bundles.MANIFEST).read_bytes()
        for path in sorted((models / bundle).iterdir()):
            if path.is_file() and not path.name.startswith("."):
                name = f"models/{bundle}/{path.name}"
                writer.confirm(name, writer.add(name, path))
        if (models / bundle / bundles.MANIFEST).read_bytes() != manifest:
            raise MaintenanceError(
                f"The model {bundle} was changed during the backup. Start the backup again."
            )
