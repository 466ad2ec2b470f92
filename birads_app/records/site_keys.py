"""The site key and what it encrypts: it is never replaced while the database has something encrypted with another one.

The key of pseudonyms is the first site key. It is stored encrypted with the present one, so that the site key can be
changed while pseudonyms stay the same, and so that another site key is noticed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flask import current_app
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from birads_app.config import KEPT_KEYS, Settings, SettingsError, site_key
from birads_app.files import atomic, locks
from birads_app.records import database, file_store, spool, upload_store
from birads_app.records.database import Database
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.errors import SiteKeyDiffers
from birads_app.records.file_store import FileStore
from birads_app.records.key_tables import PseudonymKey
from birads_app.records.write_failures import text_of

_EXTENSION = "birads_pseudonym_key"
_PURPOSE, _OWNER = "birads pseudonyms", "pseudonym_key"
# The next site key, in the instance folder, from the beginning of a change until everything is encrypted with it.
_NEXT = "site-key.next"
_AT_ONCE = 500


@dataclass(frozen=True)
class EncryptedColumn:
    """Column of ciphertexts; rows without one have NULL.

    key : column that names a row, such as the primary key
    owner : what a ciphertext belongs to; None if it is the row with its primary key
    """

    table: str
    key: str
    column: str
    purpose: str
    owner: str | None = None

    def owner_of(self, row: object) -> str:
        """Return what the ciphertext of the row with this primary key belongs to."""
        return str(row) if self.owner is None else self.owner


# The first row that there is identifies the site key.
COLUMNS: Sequence[EncryptedColumn] = (
    EncryptedColumn("pseudonym_key", "id", "ciphertext", _PURPOSE, _OWNER),
    EncryptedColumn("audit_key", "id", "ciphertext", "birads audit log", "audit_key"),
    EncryptedColumn("identities", "exam_id", "box", "birads identities"),
    EncryptedColumn("authenticators", "user_id", "secret", "birads authenticators"),
    EncryptedColumn("user_sessions", "digest", "id_token", "birads ID tokens"),
)


def load(settings: Settings, stored: Database) -> str:
    """Return the site key, which is created for a new installation; finish an interrupted change of the key first.

    Raises
    ------
    SettingsError
        The key's file is missing although the database needs it.
    """
    if settings.site_key is None and (settings.instance / _NEXT).exists():
        _finish_interrupted(settings.instance, stored, file_store.of_settings(settings))
    path = settings.instance / KEPT_KEYS["BIRADS_SITE_KEY"]
    if settings.site_key is None and not path.exists() and _reached_example(stored) is not None:
        raise SettingsError(
            f"The site key is missing: {path} does not exist, but the database in {stored.name} is encrypted with it. "
            "Put the file back from the keys of the backup (`site_key` in the file of `flask backup --keys`), or "
            "set BIRADS_SITE_KEY. A new key is not created, because it could not decrypt anything."
        )
    return site_key(settings)


def check() -> None:
    """Compare the site key with the database's, at the start; a database without one takes the present key.

    Raises
    ------
    SettingsError
        The database is encrypted with another site key.
    """
    settings: Settings = current_app.extensions["birads_settings"]
    if not fits(database.of_app(), _site_key()):
        path = settings.instance / KEPT_KEYS["BIRADS_SITE_KEY"]
        where = path if settings.site_key is None else "BIRADS_SITE_KEY"
        raise SettingsError(
            f"The site key of {where} is not the one with which the database in {database.of_app().name} is encrypted. "
            "Put the right key back: it is `site_key` in the file of `flask backup --keys`. If the key was just "
            "changed by `flask key rotate`, start again."
        )
    if database.session().get(PseudonymKey, 1) is None:
        box = encrypt(_site_key().encode(), _site_key(), _PURPOSE, _OWNER)
        with database.writing() as current:  # of several processes, the first wins
            if current.get(PseudonymKey, 1) is None:
                current.add(PseudonymKey(id=1, ciphertext=box))


def pseudonym_key() -> str:
    """Return the key of pseudonyms; raise SiteKeyDiffers if it is encrypted with another site key."""
    known: str | None = current_app.extensions.get(_EXTENSION)
    if known is None:
        row = database.session().get(PseudonymKey, 1)
        if row is None:
            return _site_key()
        known = decrypt(row.ciphertext, _site_key(), _PURPOSE, _OWNER).decode()
        current_app.extensions[_EXTENSION] = known
    return known


def fits(stored: Database, key: str) -> bool:
    """Return True if a site key decrypts what a database has, or if it has nothing encrypted."""
    example = _example(stored)
    if example is None:
        return True
    column, row, box = example
    try:
        decrypt(box, key, column.purpose, column.owner_of(row))
    except SiteKeyDiffers:
        return False
    return True


def unreadable() -> Iterator[tuple[str, object]]:
    """Yield table and primary key of every value that the site key does not decrypt."""
    for column in COLUMNS:
        query = text(
            f"SELECT {column.key}, {column.column} FROM {column.table} WHERE {column.column} IS NOT NULL"
        )
        with database.streaming() as current:
            for row, box in current.execute(query.execution_options(yield_per=_AT_ONCE)):
                try:
                    decrypt(box, _site_key(), column.purpose, column.owner_of(row))
                except (SiteKeyDiffers, ValueError):
                    yield column.table, row


def announce(instance: Path, key: str) -> None:
    """Store the next site key, before the database is encrypted with it."""
    (instance / _NEXT).unlink(missing_ok=True)
    atomic.create(instance / _NEXT, key)
    atomic.sync_folder(instance)


def withdraw(instance: Path) -> None:
    """Forget the next site key."""
    (instance / _NEXT).unlink(missing_ok=True)


def encrypt_files_again(store: FileStore, old: str, new: str) -> None:
    """Encrypt received objects and waiting uploads with another site key; only call this while nothing uses them."""
    spool.of(store, old).encrypt_again(new)
    upload_store.of(store, old).encrypt_again(new)


def take_next(instance: Path) -> None:
    """Make the next site key the present one, once everything is encrypted with it."""
    (instance / _NEXT).replace(instance / KEPT_KEYS["BIRADS_SITE_KEY"])
    atomic.sync_folder(instance)


def _finish_interrupted(instance: Path, stored: Database, store: FileStore) -> None:
    """Complete or undo a change of the site key: the database decides, because it changes in one step."""
    with locks.try_exclusive(instance / "rotation.lock") as first:
        if not first or not (instance / _NEXT).exists():
            return
        new = (instance / _NEXT).read_text("ascii").strip()
        path = instance / KEPT_KEYS["BIRADS_SITE_KEY"]
        old = path.read_text("ascii").strip() if path.exists() else new
        if fits(stored, old) or not fits(stored, new):
            withdraw(instance)
        else:
            encrypt_files_again(store, old, new)
            take_next(instance)


def _reached_example(stored: Database) -> tuple[EncryptedColumn, object, bytes] | None:
    """Return the same as :func:`_example`; raise SettingsError if the database does not answer."""
    try:
        return _example(stored)
    except OperationalError as error:
        raise SettingsError(
            f"The database {stored.name} cannot be reached: {text_of(error.orig or error)}"
        ) from error


def _example(stored: Database) -> tuple[EncryptedColumn, object, bytes] | None:
    """Return a ciphertext of the database, with its column and primary key; None if there is none."""
    if not stored.exists():
        return None
    for column in COLUMNS:
        query = f"SELECT {column.key}, {column.column} FROM {column.table} WHERE {column.column} IS NOT NULL LIMIT 1"
        try:
            with stored.engine.connect() as connection:
                row = connection.exec_driver_sql(query).first()
        except DBAPIError:  # of an earlier version, or damaged, which shows elsewhere
            continue
        if row is not None:
            return column, row[0], row[1]
    return None


def _site_key() -> str:
    return str(current_app.extensions["birads_site_key"])
