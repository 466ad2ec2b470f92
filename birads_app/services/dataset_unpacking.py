"""Unpacking of an uploaded data set in a process of its own, which a hostile ZIP file may break without harm."""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from flask import current_app

from birads_app.compute.pool import ComputePool
from birads_app.compute.process import Limits
from birads_app.files import atomic
from birads_app.files.shared_bytes import SharedBytes
from birads_app.files.zip_unpacking import UnsafeZip, unpack_zip
from birads_app.records.errors import DatasetRefused
from birads_app.terms.messages import msg

# Of memory enough for the list of entries; of processor time enough for the largest data set.
_LIMITS = Limits(memory=1 << 30, seconds=1800)
_PROGRESS, _INTERVAL_S = "progress.json", 0.5


@dataclass(frozen=True)
class UnpackingProgress:
    """Number of files that are unpacked, and of all."""

    done: int
    total: int


def unpack_apart(stream: IO[bytes], folder: Path, *, most_bytes: int, most_files: int) -> int:
    """Unpack a ZIP file into an empty folder, in a process of its own, and return the number of files.

    A file beside the folder tells the progress: :func:`progress_of`.

    Raises
    ------
    DatasetRefused
        The file is damaged, too large, or would write elsewhere.
    ReadingEnded
        The process took more memory or time than allowed.
    """
    settings = current_app.extensions["birads_settings"]
    logging_options = settings.log_level, settings.log_format
    pool = ComputePool(min(1, settings.compute_processes), [__name__], logging_options, _LIMITS)
    try:
        return pool.run(unpack, _shared(stream), str(folder), most_bytes, most_files)
    finally:
        pool.close()


def unpack(archive: SharedBytes, folder: str, most_bytes: int, most_files: int) -> int:
    """Unpack in this process; parameters and errors as :func:`unpack_apart`."""
    report, written_at = Path(folder).with_name(_PROGRESS), float("-inf")

    def write(done: int, total: int) -> None:
        nonlocal written_at
        if time.monotonic() >= written_at + _INTERVAL_S:
            atomic.write(report, json.dumps(asdict(UnpackingProgress(done, total))))
            written_at = time.monotonic()

    try:
        return unpack_zip(
            archive.stream(), Path(folder), most_bytes=most_bytes, most_files=most_files, told=write
        )
    except UnsafeZip as error:
        raise DatasetRefused(msg("dataset-zip-refused", reason=str(error))) from error


def progress_of(draft: Path) -> UnpackingProgress | None:
    """Return the progress of the unpacking into a folder inside ``draft``; None before it begins and after its end."""
    try:
        return UnpackingProgress(**json.loads((draft / _PROGRESS).read_text()))
    except FileNotFoundError:
        return None


def _shared(stream: IO[bytes]) -> SharedBytes:
    """Return the bytes of an upload; a file on the disk stays there, without a copy."""
    try:
        stream.flush()
        return SharedBytes(os.dup(stream.fileno()))
    except OSError:  # in memory
        return SharedBytes.from_stream(stream)
