"""Restore a backup into an empty instance folder, all or nothing.

Files are unpacked into ``.restoring`` inside the folder, compared with their checksums, and then moved to their places;
the database comes last. Until it is there, the folder counts as empty and no database is created in it.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from flask import current_app

from birads_app.config import KEPT_KEYS, Settings
from birads_app.files import atomic
from birads_app.maintenance import archive, keys_file
from birads_app.maintenance.archive import Description, Member
from birads_app.maintenance.errors import MaintenanceError
from birads_app.maintenance.keys_file import Keys
from birads_app.model import bundles, registry
from birads_app.records import (
    audit_log,
    database,
    file_store,
    file_transfer,
    migrate,
    shared_locks,
    table_copy,
)
from birads_app.records.errors import FilesUnavailable
from birads_app.records.file_store import FileStore
from birads_app.records.sqlite_database import SqliteDatabase
from birads_app.records.users import CONSOLE

_MODELS, _COPYING = "models", ".copying"
# Names in a folder without data: keys and figures that a command has made, and what a new file system has.
_EMPTY = {*KEPT_KEYS.values(), "metrics", migrate.RESTORING, "lost+found"}


def restore(source: Path, keys_path: Path | None, report: Callable[[str], None]) -> Description:
    """Restore an archive and migrate its database; return what it is.

    Parameters
    ----------
    keys_path : file of keys; None if BIRADS_SITE_KEY has the site key

    Raises
    ------
    MaintenanceError
        The instance folder has data or is in use, the archive is damaged or too new, the key does not fit, or models
        of the same name differ. Nothing was changed.
    """
    settings: Settings = current_app.extensions["birads_settings"]
    described = archive.describe(source)
    _check_schema(described)
    keys = _fitting_keys(settings, keys_path, described)
    instance, store = settings.instance, file_store.of_app()
    with shared_locks.of_app().alone("serving.lock") as unused:
        if not unused:
            raise MaintenanceError(f"A service uses {instance}. Stop it first.")
        _check_empty(instance, store)
        report("Verifying the archive")
        archive.verify(source)
        draft = instance / migrate.RESTORING
        try:
            _unpack(source, draft, report)
            _check_models(draft / _MODELS, settings.models)
            _move(draft, settings, store, keys, report)
        except (OSError, FilesUnavailable) as error:
            raise MaintenanceError(
                f"The restore failed ({error}). The instance folder is empty again."
            ) from error
        finally:
            _discard(instance, store)
    if keys is not None:
        current_app.extensions["birads_site_key"] = keys.site_key
    migrate.upgrade()
    audit_log.log(CONSOLE, "restore backup", "", described.created_at)
    return described


def _check_schema(described: Description) -> None:
    """Refuse the database of a newer version."""
    if not migrate.knows(described.schema):
        raise MaintenanceError(
            f"The backup was made by version {described.version} with database {described.schema}, which this "
            "version does not know. Install that version or a newer one, then restore."
        )


def _fitting_keys(settings: Settings, path: Path | None, described: Description) -> Keys | None:
    """Return the keys of the file; raises MaintenanceError if the site key does not fit the archive."""
    keys = None if path is None else keys_file.read(path)
    if keys is None and settings.site_key is None:
        raise MaintenanceError(
            "The backup's keys are needed: give the file that `flask backup --keys` wrote as --keys, or set "
            "BIRADS_SITE_KEY."
        )
    site_keys = {key for key in (settings.site_key, keys.site_key if keys else None) if key}
    if not all(keys_file.fits(key, described.key_check) for key in site_keys):
        where = path if settings.site_key is None else "BIRADS_SITE_KEY"
        raise MaintenanceError(
            f"The site key of {where} does not fit this backup. Use the keys that were written with it."
        )
    return keys


def _check_empty(instance: Path, store: FileStore) -> None:
    """Remove the remains of a restore that was killed, then raise MaintenanceError if the folder has data."""
    _discard(instance, store)
    found = sorted(
        path.name for path in instance.iterdir() if path.name not in _EMPTY and path.suffix != ".lock"
    )
    if not migrate.is_empty(database.of_app()):
        found.append(f"records in the database {database.of_app().name}")
    if store.shared and not file_transfer.is_empty(store):
        raise MaintenanceError(
            "The place of BIRADS_FILES_URL is not empty. Restore into an empty one: choose another folder or prefix."
        )
    if found:
        raise MaintenanceError(
            f"{instance} is not empty (it has {', '.join(found[:5])}). Restore into an empty folder: set "
            "BIRADS_INSTANCE, or move the present one away."
        )


def _discard(instance: Path, store: FileStore) -> None:
    """Remove what an unfinished restore has unpacked and moved; keep everything if it was finished."""
    draft = instance / migrate.RESTORING
    if not draft.exists():
        return
    own = not store.shared or (draft / _COPYING).exists()
    if own and migrate.is_empty(database.of_app()):
        file_transfer.clear(store)
    shutil.rmtree(draft, ignore_errors=True)


def _unpack(source: Path, draft: Path, report: Callable[[str], None]) -> None:
    draft.mkdir(mode=0o700)
    done, reported = 0, 0
    for member in archive.members(source):
        _unpack_member(member, draft / member.name)
        done += member.size
        if done - reported > 10**9:
            reported = done
            report(f"Unpacked {done / 1e9:.0f} GB")
    os.sync()


def _unpack_member(member: Member, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with target.open("xb") as stream:
        archive.copy(member, stream)
    os.utime(target, (member.mtime, member.mtime))  # by which the spool orders a study's objects


def _check_models(unpacked: Path, models: Path) -> None:
    """Raise MaintenanceError if a model of the backup and one of the same name differ."""
    for name in bundles.list_names(unpacked):
        if bundles.version(models, name) not in ("removed", bundles.version(unpacked, name)):
            raise MaintenanceError(
                f"The model {name} in {models} differs from that of the backup. Move it away, then restore."
            )


def _move(
    draft: Path, settings: Settings, store: FileStore, keys: Keys | None, report: Callable[[str], None]
) -> None:
    """Move everything to its place; the database comes last."""
    instance, models = settings.instance, settings.models
    models.mkdir(parents=True, exist_ok=True)
    for name in bundles.list_names(draft / _MODELS):
        if not (models / name).exists():
            with atomic.new_folder(models / name) as part:
                shutil.copytree(draft / _MODELS / name, part, dirs_exist_ok=True)
    for file in (registry.CURRENT, registry.OVERRIDES):
        if (draft / _MODELS / file).exists():
            atomic.write(models / file, (draft / _MODELS / file).read_bytes(), sync=True)
    if store.shared:
        (draft / _COPYING).touch()  # from now on what is there is of this restore
        file_transfer.copy(FileStore(draft), store, report)
    else:
        for name in file_store.FOLDERS:
            if (draft / name).exists():
                (draft / name).rename(instance / name)
    if keys is not None and settings.site_key is None:
        _write_key(instance / KEPT_KEYS["BIRADS_SITE_KEY"], keys.site_key)
    if keys is not None and settings.secret_key is None:
        _write_key(instance / KEPT_KEYS["BIRADS_SECRET_KEY"], keys.secret_key)
    atomic.sync_folder(instance)
    _fill_database(draft / database.FILE_NAME, instance)


def _fill_database(copied: Path, instance: Path) -> None:
    """Put the database of the archive into place, or copy its rows into the server's."""
    stored = database.of_app()
    if isinstance(stored, SqliteDatabase):
        copied.rename(instance / database.FILE_NAME)
        atomic.sync_folder(instance)
        return
    source = SqliteDatabase(copied)
    migrate.upgrade(source)
    table_copy.copy(source, stored)
    source.engine.dispose()


def _write_key(path: Path, key: str) -> None:
    """Replace a key that encrypts nothing yet."""
    path.unlink(missing_ok=True)
    atomic.create(path, key)
