"""Unpacking of ZIP files from outside into a folder: safe names, bounded sizes, nothing but plain files."""

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from birads_app.files.bounded_reading import BOUNDED_METHODS, LongerThanAllowed, pieces

# A file that grows more than this is made to fill the disk; images do not.
_EXPANSION_MAX = 100
_EXPANSION_FREE = 1 << 20  # bytes below which it does not matter
_DEPTH_MAX, _NAME_MAX = 10, 200
_END, _END_SIZE, _END_64 = b"PK\x05\x06", 22, b"PK\x06\x07"
_DIRECTORY_MAX = 32 << 20  # bytes of the list of entries
# Left behind by file managers.
_IGNORED = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})


class UnsafeZip(Exception):
    """The ZIP file is damaged, too large, or would leave its folder; the message says which."""


def unpack_zip(
    stream: IO[bytes],
    folder: Path,
    *,
    most_bytes: int,
    most_files: int,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Unpack into an empty folder and return the number of files; raise UnsafeZip, OSError.

    Parameters
    ----------
    told : called before each file, with the number of files that are unpacked and that of all
    """
    try:
        _check_directory(stream)
        with zipfile.ZipFile(stream) as archive:
            entries = [entry for entry in archive.infolist() if not _ignored(entry)]
            if len(entries) > most_files:
                raise UnsafeZip(f"it has more than {most_files} files")
            left = most_bytes
            for done, entry in enumerate(entries):
                told(done, len(entries))
                left -= _extract(archive, entry, folder, left)
            return len(entries)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError) as error:
        raise UnsafeZip("it is damaged, encrypted or no ZIP file") from error


def _check_directory(stream: IO[bytes]) -> None:
    """Refuse a list of entries that would fill the memory, before it is read."""
    size = stream.seek(0, 2)
    start = max(0, size - (1 << 16) - _END_SIZE - 20)
    stream.seek(start)
    tail = stream.read()
    stream.seek(0)
    if _END_64 in tail:
        raise UnsafeZip("it is a ZIP64 file, which is not read")
    ends = [at for at in range(len(tail)) if tail.startswith(_END, at)] if _END in tail else []
    sizes = [int.from_bytes(tail[at + 12 : at + 16], "little") for at in ends]
    if not sizes or max(sizes) > _DIRECTORY_MAX:
        raise UnsafeZip("it is damaged or no ZIP file, or it has too many files")


def _ignored(entry: zipfile.ZipInfo) -> bool:
    return entry.is_dir() or not _IGNORED.isdisjoint(PurePosixPath(entry.filename).parts)


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, left: int) -> int:
    """Write one entry and return its size; what it declares is not trusted."""
    target = folder.joinpath(*_safe_parts(entry.filename))
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or entry.compress_type not in BOUNDED_METHODS or entry.flag_bits & 1:
        raise UnsafeZip(f"{entry.filename[:80]} is a link, encrypted or compressed in a way that is not read")
    most = min(left, max(_EXPANSION_FREE, _EXPANSION_MAX * entry.compress_size))
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise UnsafeZip(f"{entry.filename[:80]} occurs twice")
    try:
        with archive.open(entry) as source, target.open("xb") as output:
            return sum(map(output.write, pieces(source, most)))
    except LongerThanAllowed:
        raise UnsafeZip(f"it is too large unpacked, from {entry.filename[:80]} on") from None


def _safe_parts(name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    bad = (
        not parts
        or name.startswith("/")
        or ".." in parts
        or any(character in name for character in "\\:\0")
        or len(parts) > _DEPTH_MAX
        or any(len(part.encode()) > _NAME_MAX for part in parts)
    )
    if bad:
        raise UnsafeZip(f"the name {name[:80]!r} is not allowed")
    return parts
