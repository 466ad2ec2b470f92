"""Archive of a backup: a tar file whose last members are ``manifest.sha256`` and ``backup.json``.

The manifest has a line for every valid member, in their order, as sha256sum(1) writes it. A member without a line is
ignored: it belongs to an exam that was deleted while the backup was made.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from birads_app.files import atomic, locks
from birads_app.maintenance.errors import MaintenanceError

FORMAT = 1
MANIFEST, DESCRIPTION = "manifest.sha256", "backup.json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Description:
    """Description of a backup.

    version, schema : of the program and its database
    created_at : ISO 8601, when the database was copied
    exams : number of exams
    key_check : ciphertext by which the fitting site key is recognised, in hexadecimal
    """

    format: int
    version: str
    schema: str
    created_at: str
    exams: int
    key_check: str


@dataclass(frozen=True)
class Member:
    """A verified member while the archive is read; ``stream`` is at its content's beginning."""

    name: str
    size: int
    mtime: float
    stream: IO[bytes]
    sha256: str


class _Hashing:
    """Stream that digests what is read through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._digest = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        return data

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class ArchiveWriter:
    """An archive that is being written, in a folder that also takes temporary files.

    bytes : of the members so far
    """

    def __init__(self, folder: Path, tar: tarfile.TarFile) -> None:
        self.folder, self.bytes = folder, 0
        self._tar = tar
        self._manifest = (folder / MANIFEST).open("w", encoding="utf-8")

    def add(self, name: str, path: Path) -> str:
        """Copy a file as it is when it is opened, and return its SHA-256; raises FileNotFoundError.

        It becomes valid by :meth:`confirm`.
        """
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            hashing = _Hashing(stream)
            self._put(name, status.st_size, status.st_mtime, hashing)
            return hashing.hexdigest()

    def add_bytes(self, name: str, data: bytes) -> str:
        """Add a member with the given content; returns as :meth:`add`."""
        hashing = _Hashing(io.BytesIO(data))
        self._put(name, len(data), 0, hashing)
        return hashing.hexdigest()

    def confirm(self, name: str, digest: str) -> None:
        """Enter a member into the manifest; in the order of members."""
        self._manifest.write(f"{digest}  {name}\n")

    def leave_out(self, folders: Container[str]) -> None:
        """Make the members in these folders invalid; a folder is the first two parts of a name."""
        self._manifest.flush()
        path = self.folder / MANIFEST
        draft = path.with_suffix(".draft")
        with path.open(encoding="utf-8") as lines, draft.open("w", encoding="utf-8") as kept:
            kept.writelines(
                line for line in lines if "/".join(line.partition("  ")[2].split("/")[:2]) not in folders
            )
        self._manifest.close()
        draft.replace(path)
        self._manifest = path.open("a", encoding="utf-8")

    def finish(self, description: Description) -> None:
        """Add the last two members, the manifest and the description."""
        self._manifest.close()
        self.add(MANIFEST, self.folder / MANIFEST)
        self.add_bytes(DESCRIPTION, json.dumps(asdict(description), indent=1).encode())

    def _put(self, name: str, size: int, mtime: float, stream: _Hashing) -> None:
        entry = tarfile.TarInfo(name)
        # A fraction needs two more blocks; only the spool's order of arrival depends on it.
        entry.mtime = mtime if name.startswith("spool/") else int(mtime)
        entry.size, entry.mode = size, 0o600
        self._tar.addfile(entry, stream)
        _forget(self._tar)
        self.bytes += size


@contextmanager
def creating(path: Path) -> Iterator[ArchiveWriter]:
    """Write an archive during the block; afterwards it is verified and takes its name, or nothing is left of it.

    Until then it lies in the folder ``.NAME.part`` beside the path. What a killed process left there is replaced.

    Raises
    ------
    MaintenanceError
        Another process writes the same archive.
    """
    folder = path.with_name(f".{path.name}.part")
    folder.mkdir(mode=0o700, exist_ok=True)
    with locks.try_exclusive(folder / "lock") as first:
        if not first:
            raise MaintenanceError(f"Another process is writing {path}.")
        try:
            draft = folder / "archive.tar"
            with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
                yield ArchiveWriter(folder, tar)
            verify(draft)
            with draft.open("rb") as stream:
                os.fsync(stream.fileno())
            draft.chmod(0o600)
            draft.replace(path)
        finally:
            shutil.rmtree(folder)
    atomic.sync_folder(path.parent)


def describe(path: Path) -> Description:
    """Return the description of a backup; raises MaintenanceError if the file is not a whole backup."""
    found = _last(path, DESCRIPTION)
    if found is None:
        raise MaintenanceError(f"{path} is not a backup of this program, or is cut off.")
    values = json.loads(found)
    if values.get("format") != FORMAT:
        raise MaintenanceError(
            f"{path} is a backup of format {values.get('format')}, made by version {values.get('version')}; "
            f"this version, which reads format {FORMAT}, cannot restore it."
        )
    return Description(**values)


def members(path: Path) -> Iterator[Member]:
    """Yield the valid members in order; whoever reads one to its end compares it with its checksum.

    Raises
    ------
    MaintenanceError
        The archive is damaged, cut off, lacks a member, or has one that would lie outside the folder.
    """
    with _opened(path) as tar, _manifest_of(path) as lines:
        expected = _next_line(lines)
        while expected is not None and (entry := tar.next()) is not None:
            _forget(tar)
            digest, _, name = expected.partition("  ")
            if entry.name != name:
                continue
            stream = tar.extractfile(entry) if entry.isreg() and _is_inside(name) else None
            if stream is None:
                raise MaintenanceError(f"{path} has a member that no backup has: {name!r}.")
            yield Member(name, entry.size, entry.mtime, stream, digest)
            expected = _next_line(lines)
        if expected is not None:
            raise MaintenanceError(f"{path} is damaged: it lacks {expected.partition('  ')[2]}.")


def copy(member: Member, target: IO[bytes] | None) -> None:
    """Copy a member's content, or only read it, and compare it with its checksum; raises MaintenanceError."""
    hashing = _Hashing(member.stream)
    while data := hashing.read(_CHUNK):
        if target is not None:
            target.write(data)
    if hashing.hexdigest() != member.sha256:
        raise MaintenanceError(f"The backup is damaged: {member.name} differs from its checksum.")


def verify(path: Path) -> int:
    """Compare every member with the manifest; return their number. Errors as :func:`members`."""
    count = 0
    for count, member in enumerate(members(path), 1):  # noqa: B007
        copy(member, None)
    return count


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as tar:
            yield tar
    except tarfile.TarError as error:
        raise MaintenanceError(f"{path} is not a backup of this program, or is cut off.") from error
    except OSError as error:
        raise MaintenanceError(f"{path} cannot be read: {error.strerror}.") from error


@contextmanager
def _manifest_of(path: Path) -> Iterator[IO[bytes]]:
    """Open the manifest inside the archive."""
    with _opened(path) as tar:
        while (entry := tar.next()) is not None:
            _forget(tar)
            if entry.name == MANIFEST:
                stream = tar.extractfile(entry)
                assert stream is not None
                yield stream
                return
    raise MaintenanceError(f"{path} is not a backup of this program, or is cut off.")


def _last(path: Path, name: str) -> bytes | None:
    """Return the content of a small member."""
    with _opened(path) as tar:
        while (entry := tar.next()) is not None:
            _forget(tar)
            if entry.name == name and (stream := tar.extractfile(entry)) is not None:
                return stream.read(_CHUNK)
    return None


def _forget(tar: tarfile.TarFile) -> None:
    """Forget the members so far, whose list would grow with the number of files."""
    tar.members = []  # type: ignore[attr-defined]


def _next_line(lines: IO[bytes]) -> str | None:
    line = lines.readline()
    return line.decode().rstrip("\n") if line else None


def _is_inside(name: str) -> bool:
    """Return True for a relative path without ``..``."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
