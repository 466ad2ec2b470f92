"""Backup of a running installation into one archive.

The order keeps every exam that was acknowledged before the backup began. The spool is copied before the database,
because a study leaves the spool once its exam is in the database. The database is copied before the images, because an
exam's files are complete when it is in the database and are not changed afterwards, except that an original may be
replaced by the same one compressed. Exams that are deleted meanwhile are deleted from the copy as well.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from flask import current_app

from birads_app.config import Settings
from birads_app.maintenance import archive, keys_file
from birads_app.maintenance.archive import ArchiveWriter, Description
from birads_app.maintenance.errors import MaintenanceError
from birads_app.model import bundles, registry
from birads_app.records import checksums, database, derived_files, exams, files, migrate
from birads_app.records.spool import Spool
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
        The target cannot be written, lies inside the installation's folders, or the database is damaged.
    """
    settings: Settings = current_app.extensions["birads_settings"]
    target = target.absolute()
    for inside in (settings.instance, settings.models):
        if target.is_relative_to(inside):
            raise MaintenanceError(f"The backup must not lie inside {inside}. Choose another folder.")
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
    _add_spool(writer)
    copied_at = datetime.now(UTC)
    snapshot = writer.folder / database.FILE_NAME
    database.copy_to(snapshot)
    problems: list[str] = []
    with closing(sqlite3.connect(snapshot)) as copy:
        copy.execute("PRAGMA foreign_keys = ON")
        _check_database(copy)
        count = _add_exams(writer, copy, problems, report)
        _add_models(writer, settings.models)
        copy.commit()
        schema = str(copy.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    writer.confirm(database.FILE_NAME, writer.add(database.FILE_NAME, snapshot))
    key_check = keys_file.check_value(current_app.extensions["birads_site_key"])
    writer.finish(
        Description(
            archive.FORMAT, __version__, schema, copied_at.isoformat(timespec="seconds"), count, key_check
        )
    )
    return BackupSummary(count, writer.bytes, problems)


def _check_database(copy: sqlite3.Connection) -> None:
    found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise MaintenanceError(
            f"The database is damaged ({found}). Stop the service, copy the instance folder as it is, and "
            "restore the last backup."
        )


def _add_spool(writer: ArchiveWriter) -> None:
    """Copy the received objects; one that vanishes meanwhile has become part of an exam."""
    instance = Path(current_app.instance_path)
    for name, paths in Spool(instance, current_app.extensions["birads_site_key"]).listing():
        for path in paths:  # the folder is renamed when its study is complete
            with suppress(FileNotFoundError):
                writer.confirm(name, writer.add(name, path))
                break


def _add_exams(writer: ArchiveWriter, copy: sqlite3.Connection, problems: list[str], report: Report) -> int:
    """Copy the files of all exams; return how many exams are in the copy of the database at the end."""
    ids = [row[0] for row in copy.execute("SELECT id FROM exams ORDER BY id")]
    deleted, reported = 0, time.monotonic()
    for number, exam_id in enumerate(ids, 1):
        images = copy.execute(
            "SELECT id, source FROM images WHERE exam_id = ? ORDER BY id", (exam_id,)
        ).fetchall()
        marker = derived_files.marker(files.root(), exam_id)
        if marker.exists():
            with suppress(FileNotFoundError):
                writer.confirm(_name(marker), writer.add(_name(marker), marker))
        added = _add_exam(writer, exam_id, images, problems)
        if added is None:
            copy.execute("DELETE FROM exams WHERE id = ?", (exam_id,))
            deleted += 1
        else:
            for name, digest in added:
                writer.confirm(name, digest)
        if time.monotonic() - reported > _REPORT_S:
            reported = time.monotonic()
            report(f"Exams: {number} of {len(ids)}, {writer.bytes / 1e9:.1f} GB")
    return len(ids) - deleted


def _add_exam(
    writer: ArchiveWriter, exam_id: str, images: list[tuple[str, str]], problems: list[str]
) -> list[tuple[str, str]] | None:
    """Copy an exam's files; return their names and digests, or None if it was deleted meanwhile."""
    added: list[tuple[str, str]] = []
    for image_id, source in images:
        folder = files.root() / exam_id / image_id
        original = folder / f"original.{files.suffix(source)}"
        accepted = checksums.read(folder)
        if not original.exists() and _is_deleted(exam_id):
            return None
        try:
            digest = writer.add(_name(original), original)
        except FileNotFoundError:
            if _is_deleted(exam_id):
                return None
            problems.append(f"exam {exam_id}, image {image_id}: the original is missing")
            continue
        added.append((_name(original), digest))
        accepted |= checksums.read(folder)  # it may have been compressed meanwhile
        if accepted and digest not in accepted:
            problems.append(f"exam {exam_id}, image {image_id}: the original differs from its checksum")
        elif accepted:
            accepted = {digest}
        added += _add_others(writer, folder, checksums.as_text(original.name, accepted))
    return added


def _add_others(writer: ArchiveWriter, folder: Path, checksum: bytes) -> Iterator[tuple[str, str]]:
    """Copy the checksum of an original, and the derived files that there are; return as :func:`_add_exam`."""
    if checksum:
        name = _name(folder / checksums.NAME)
        yield name, writer.add_bytes(name, checksum)
    with suppress(FileNotFoundError):  # deleted meanwhile, or replaced; they can be made again
        for path in sorted(folder.iterdir()):
            if files.is_derived(path.name):
                yield _name(path), writer.add(_name(path), path)


def _is_deleted(exam_id: str) -> bool:
    """Wait while an exam is being deleted; return True if it is."""
    until = time.monotonic() + _DELETION_S
    while time.monotonic() < until:
        if not exams.exists(exam_id):
            return True
        if (files.root() / exam_id).is_dir():
            return False
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


def _name(path: Path) -> str:
    """Return the member's name of a file in the instance folder."""
    return path.relative_to(current_app.instance_path).as_posix()
