"""Change of the site key: everything is encrypted again, and a kill at any moment leaves either key usable.

The next key is stored first. The database changes in one transaction, which decides; spool and uploads follow. After a
kill the next command or start goes on from there (:func:`birads_app.records.site_keys.load`).
"""

import secrets
from collections.abc import Callable

from flask import current_app
from sqlalchemy import text
from sqlalchemy.orm import Session

from birads_app.config import Settings
from birads_app.files import locks
from birads_app.maintenance.errors import MaintenanceError
from birads_app.records import audit_log, database, file_store, shared_locks, site_keys
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.site_keys import EncryptedColumn
from birads_app.records.users import CONSOLE

_AT_ONCE = 1000


def rotate(given: str | None, report: Callable[[str], None]) -> None:
    """Encrypt everything with another site key.

    Parameters
    ----------
    given : the new key; None generates one

    Raises
    ------
    MaintenanceError
        The service is running, or BIRADS_SITE_KEY is set and no new key is given.
    SettingsError
        The present site key is not the database's.
    """
    settings: Settings = current_app.extensions["birads_settings"]
    if settings.site_key is not None and given is None:
        raise MaintenanceError(
            "The site key is set by BIRADS_SITE_KEY. Give the new key in a file as --new-key, then set the "
            "variable to it."
        )
    instance, old = settings.instance, str(current_app.extensions["birads_site_key"])
    new = given or secrets.token_hex(32)
    with (
        shared_locks.of_app().alone("serving.lock") as unused,
        locks.try_exclusive(instance / "rotation.lock") as first,
    ):
        if not unused or not first:
            raise MaintenanceError(f"The service in {instance} is running. Stop it first.")
        if site_keys.fits(database.of_app(), old):
            site_keys.check()
            if settings.site_key is None:
                site_keys.announce(instance, new)
            _encrypt_database(old, new, report)
        elif not site_keys.fits(database.of_app(), new):  # else a change with this very key was interrupted
            site_keys.check()
        site_keys.encrypt_files_again(file_store.of_app(), old, new)
        if settings.site_key is None:
            site_keys.take_next(instance)
    current_app.extensions["birads_site_key"] = new


def _encrypt_database(old: str, new: str, report: Callable[[str], None]) -> None:
    """Encrypt all columns again in one transaction, and remove the previous ciphertexts from the log of writes."""
    with database.writing() as current:
        audit_log.add(current, CONSOLE, "change site key")
        for column in site_keys.COLUMNS:
            count = _encrypt_column(current, column, old, new)
            report(f"{column.table}: {count}")
    database.of_app().forget_previous_values()


def _encrypt_column(current: Session, column: EncryptedColumn, old: str, new: str) -> int:
    """Encrypt a column again, some rows at once; return their number."""
    count, key = 0, column.key
    filled = f"SELECT {key}, {column.column} FROM {column.table} WHERE {column.column} IS NOT NULL"
    ordered = f"ORDER BY {key} LIMIT {_AT_ONCE}"
    change = text(f"UPDATE {column.table} SET {column.column} = :box WHERE {key} = :row")
    rows = current.execute(text(f"{filled} {ordered}")).all()
    while rows:
        for row, box in rows:
            owner = column.owner_of(row)
            content = decrypt(box, old, column.purpose, owner)
            current.execute(change, {"row": row, "box": encrypt(content, new, column.purpose, owner)})
        count += len(rows)
        rows = current.execute(text(f"{filled} AND {key} > :last {ordered}"), {"last": rows[-1][0]}).all()
    return count
