"""State of the disks with the instance folder and with shared files: whether they are read-only or full."""

import errno
import os
from pathlib import Path

from birads_app.config import Settings
from birads_app.records import file_store
from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import msg

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
READ_ONLY = frozenset({errno.EROFS})


class DiskFull(BiradsError):
    """The disk has less free space than is kept free."""


class DiskReadOnly(BiradsError):
    """The instance folder cannot be written to."""


def check(settings: Settings) -> None:
    """Ask the system whether something can be stored; takes microseconds.

    Raises
    ------
    DiskReadOnly
        A disk is mounted read-only, or the account may not write to a folder or to the database.
    DiskFull
        It has less free space than BIRADS_MIN_FREE_MB.
    """
    for folder in {settings.instance, file_store.at(settings.files_url, settings.instance).folder}:
        found = os.statvfs(folder)
        if found.f_flag & os.ST_RDONLY or not all(map(_is_writable, _places(folder))):
            raise DiskReadOnly(msg("disk-read-only"))
        free = found.f_bavail * found.f_frsize // 2**20
        if free < settings.min_free_mb:
            raise DiskFull(msg("disk-full", free=free, least=settings.min_free_mb))


def _places(instance: Path) -> tuple[Path, ...]:
    return (instance, instance / "images", *instance.glob("*.sqlite3*"))


def _is_writable(path: Path) -> bool:
    return not path.exists() or os.access(path, os.W_OK)
