"""Data sets for training: uploaded as ZIP into the instance folder, or in folders that the settings allow."""

import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flask import current_app

from birads_app.records import audit_log, disk_space
from birads_app.records.errors import DatasetRefused, NotFound
from birads_app.services.dataset_unpacking import UnpackingProgress, progress_of, unpack_apart
from birads_app.terms.counts import counted
from birads_app.terms.messages import msg

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_BYTES, _MOST_FILES = 8 << 30, 50_000
_FOLDERS_SHOWN = 200
_DRAFT = ".draft-"


@dataclass(frozen=True)
class UploadedDataset:
    """A data set in the instance folder."""

    name: str
    path: str


def folder() -> Path:
    """Return the folder of uploaded data sets."""
    return Path(current_app.instance_path) / "datasets"


def uploaded() -> list[UploadedDataset]:
    """List the uploaded data sets by name."""
    if not folder().is_dir():
        return []
    found = sorted(path for path in folder().iterdir() if _NAME.fullmatch(path.name) and path.is_dir())
    return [UploadedDataset(path.name, str(path)) for path in found]


def add(stream: IO[bytes], name: str, who: str) -> str:
    """Unpack a ZIP file as a new data set and return its path.

    Raises
    ------
    DatasetRefused
        The name is not valid or taken, or the file is damaged, too large, or would write elsewhere.
    ReadingEnded
        Unpacking took more memory or time than allowed.
    DiskFull, DiskReadOnly
        The disk has no room for it.
    """
    if not _NAME.fullmatch(name):
        raise DatasetRefused(msg("dataset-name-invalid"))
    target = folder() / name
    if target.exists():
        raise DatasetRefused(msg("dataset-name-taken", name=name))
    settings = current_app.extensions["birads_settings"]
    disk_space.check(settings)
    free = shutil.disk_usage(current_app.instance_path).free - settings.min_free_mb * 2**20
    folder().mkdir(mode=0o700, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{_DRAFT}{name}-", dir=folder()))
    try:
        content = draft / "content"
        content.mkdir()
        files = unpack_apart(stream, content, most_bytes=min(_MOST_BYTES, free), most_files=_MOST_FILES)
        if not files:
            raise DatasetRefused(msg("dataset-zip-empty"))
        audit_log.log(who, "upload data set", name, counted(files, "file"))
        _inner(content).rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return str(target)


def unpacking(name: str) -> UnpackingProgress | None:
    """Return the progress of a data set that is being unpacked under a name; None if there is none."""
    named = re.compile(re.escape(f"{_DRAFT}{name}-") + r"[^-]+")
    drafts = [path for path in folder().glob(f"{_DRAFT}*") if named.fullmatch(path.name)]
    found = [progress for draft in drafts if (progress := progress_of(draft)) is not None]
    return max(found, key=lambda progress: progress.done, default=None)


def delete(name: str, who: str) -> None:
    """Delete an uploaded data set; raise NotFound if there is none."""
    if name not in {one.name for one in uploaded()}:
        raise NotFound(msg("dataset-missing"))
    audit_log.log(who, "delete data set", name)
    shutil.rmtree(folder() / name)


def roots() -> tuple[Path, ...]:
    """Return the folders inside of which a training may read: those of the settings, and the uploaded data sets."""
    configured: tuple[Path, ...] = current_app.extensions["birads_settings"].training_data_dirs
    return (*configured, folder()) if folder().is_dir() else configured


def folders() -> list[str]:
    """List the folders to choose from: those in the settings and the ones directly inside them."""
    found = []
    for root in roots():
        with suppress(OSError):
            inside = sorted(entry.path for entry in os.scandir(root) if _is_shown(entry))
            found += inside if root == folder() else [str(root), *inside]
    return found[:_FOLDERS_SHOWN]


def data_folder(text: str) -> str:
    """Resolve the path of a folder or label table; raise DatasetRefused if it is outside the allowed folders."""
    path = Path(text).absolute().resolve()
    if not any(path.is_relative_to(root.resolve()) for root in roots()):
        configured = current_app.extensions["birads_settings"].training_data_dirs
        raise DatasetRefused(
            msg("training-folder-not-allowed", folder=text, roots=", ".join(map(str, configured)) or "–")
        )
    if not path.exists():
        raise DatasetRefused(msg("training-folder-missing", folder=text))
    return str(path)


def _is_shown(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def _inner(path: Path) -> Path:
    """Return the first folder that has more than one other folder in it."""
    inside = list(path.iterdir())
    return _inner(inside[0]) if len(inside) == 1 and inside[0].is_dir() else path
