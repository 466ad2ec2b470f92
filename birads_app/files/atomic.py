"""Atomic writing: a file or folder appears whole under its name, or not at all, even if the process is killed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


def write(path: Path, content: bytes | str, *, sync: bool = False) -> None:
    """Write a file, or replace it, in one step.

    Parameters
    ----------
    content : text is encoded as UTF-8
    sync : also flush the content to the disk before the file takes its name

    Raises
    ------
    OSError
        The file cannot be written; the previous one, if any, is unchanged.
    """
    data = content.encode() if isinstance(content, str) else content
    with draft(path.parent, f".{path.name}-") as part:
        write_synced(part, data) if sync else part.write_bytes(data)
        part.chmod(0o644)
        part.replace(path)


def create(path: Path, content: str) -> None:
    """Write a file that only its owner may read, unless it exists: of several processes, the first wins."""
    with draft(path.parent) as part:
        part.write_text(content, "utf-8")
        with suppress(FileExistsError):
            os.link(part, path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a draft that replaces the file when the block succeeds.

    The draft always has the same name, so that one left behind by a killed process is overwritten. Only one
    process may write the file at a time.
    """
    part = path.with_name(f".part-{path.name}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def draft(folder: Path, prefix: str = ".draft-") -> Iterator[Path]:
    """Yield a new empty file, mode 0600, that is removed after the block unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix=prefix, dir=folder)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, *, mode: int = 0o755, prefix: str | None = None) -> Iterator[Path]:
    """Yield an empty draft folder, mode 0700, that takes the path when the block succeeds.

    Parameters
    ----------
    path : absent, or an empty folder
    mode : of the finished folder
    prefix : of the draft's name; by default derived from the folder's
    """
    part = Path(tempfile.mkdtemp(prefix=prefix or f".{path.name}-", dir=path.parent))
    try:
        yield part
        part.chmod(mode)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def write_synced(path: Path, *chunks: bytes | memoryview) -> None:
    """Write a file, whose content may come in chunks, and flush it to the disk."""
    with path.open("wb") as stream:
        stream.writelines(chunks)
        sync(stream)


def sync(stream: IO[bytes]) -> None:
    """Flush what was written to a file to the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def sync_file(path: Path) -> None:
    """Flush what any process has written to a file to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    sync_file(folder)
