"""Copies of exams that a machine keeps of those in the bucket: as many as BIRADS_FILES_CACHE_MB allows."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flask import current_app

from birads_app.files import locks
from birads_app.records import derived_files, file_store, files

_EVERY_S = 60
_IN_USE_S = 300  # longer than sending a file takes
_LOCK = ".trim.lock"


def trim(every_s: float = _EVERY_S) -> None:
    """Remove the copies used longest ago, as far as all together are too large; nothing without a bucket.

    Parameters
    ----------
    every_s : seconds in which the sizes are not added up again
    """
    if file_store.of_app().bucket is None:
        return
    lock = files.root() / _LOCK
    if lock.exists() and time.time() - lock.stat().st_mtime < every_s:
        return
    with locks.try_exclusive(lock) as first:
        if not first:
            return
        os.utime(lock)
        known = [(_used(folder), _size(folder), folder) for folder in files.folders()]
        total = sum(size for _, size, _ in known)
        for used, size, folder in sorted(known):
            if total <= _limit() or time.time() - used < _IN_USE_S:
                break
            if _remove(folder):
                total -= size


def drop_deleted(is_recorded: Callable[[str], bool]) -> int:
    """Remove the copies of exams that another machine has deleted; return their number.

    Parameters
    ----------
    is_recorded : True for the id of an exam in the database
    """
    if file_store.of_app().bucket is None:
        return 0
    return sum(_remove(folder) for folder in files.folders() if not is_recorded(folder.name))


def _limit() -> int:
    """Return the size in bytes that all copies may have."""
    return int(current_app.extensions["birads_settings"].files_cache_mb) * 2**20


def _remove(folder: Path) -> bool:
    """Remove an exam's copy in one step; return False, and keep it, while files are not in the bucket yet."""
    if files.is_pending(folder.name) or derived_files.marker(files.root(), folder.name).exists():
        return False
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=files.root()))
    with suppress(FileNotFoundError):
        folder.rename(draft)
    shutil.rmtree(draft, ignore_errors=True)
    return True


def _used(folder: Path) -> float:
    """Return when a file of an exam was last asked for."""
    with suppress(FileNotFoundError):
        return folder.stat().st_mtime
    return 0


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(place, name)).st_size
    return total
