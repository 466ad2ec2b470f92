"""Unpacking of archives in an upload: ZIP, tar and gzip, also within one another.

Each member is inflated once. Of members that are no images only the beginning is inflated.
"""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from birads_app.imaging.file_signatures import ARCHIVE, GZIP, HEAD, TAR, ZIP, FileType, recognise
from birads_app.imaging.source_file import SourceFile
from birads_app.intake.companions import Companions, companion_of, kind_of_head
from birads_app.terms.errors import ImageTooLarge, InputError, UnreadableImage
from birads_app.terms.messages import msg

# Bytes of one unpacked file, and of all archives of an upload: the largest tomosynthesis volumes have half of it.
_FILE_MAX = _UPLOAD_MAX = 1 << 30
_ENTRIES_MAX = 10_000  # of an archive; images among them are counted separately
_NESTED_MAX = 3  # archives around a file


def unpacked(
    files: Iterable[SourceFile], most: int, companions: Companions | None = None
) -> Iterator[SourceFile]:
    """Yield the files of an upload; of those in archives, the ones that may be images by their first bytes.

    Parameters
    ----------
    most : highest number of files in an archive, other than companions
    companions : receives the others

    Raises
    ------
    InputError
        An archive is damaged, encrypted or too large, or contains too many files.
    """
    unpacking = _Unpacking(most, Companions() if companions is None else companions)
    for file in files:
        yield from unpacking.files_of(file)


class _Unpacking:
    """State of an upload's unpacking; ``left`` are the bytes that may still be unpacked."""

    def __init__(self, most: int, companions: Companions) -> None:
        self.left = _UPLOAD_MAX
        self._most, self._companions = most, companions

    def files_of(self, file: SourceFile, depth: int = 0) -> Iterator[SourceFile]:
        """Yield a file, or the files in it if it is an archive."""
        opener = _opener(file.name, file.head)
        if opener is None:
            yield file
            return
        if depth == _NESTED_MAX:
            raise UnreadableImage(msg("archive-nested", name=file.name, most=_NESTED_MAX))
        for count, found in enumerate(self._members(opener, file, depth), 1):
            if count > self._most:
                raise ImageTooLarge(msg("archive-too-many-files", name=file.name, most=self._most))
            yield found

    def _members(self, opener: "_Opener", file: SourceFile, depth: int) -> Iterator[SourceFile]:
        for member in opener(self, file):
            self.left -= len(member.data)
            if self.left < 0:
                raise ImageTooLarge(msg("archive-too-large"))
            yield from self.files_of(member, depth + 1)

    def skips(self, name: str, head: bytes) -> bool:
        """Return True for a member whose beginning shows that it is no image; keep account of it."""
        if kind_of_head(name, head) is None or _opener(name, head) is not None:
            return False
        if companion := companion_of(SourceFile(name, head)):
            self._companions.found.append(companion)
        return companion is not None


def _members_of_zip(unpacking: _Unpacking, file: SourceFile) -> Iterator[SourceFile]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(file.data))
        members = [member for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise UnreadableImage(msg("archive-damaged", name=file.name)) from error
    _check_entries(file.name, len(members))
    for member in members:
        if member.flag_bits & 1:
            raise UnreadableImage(msg("archive-encrypted", name=file.name))
        try:
            with archive.open(member) as stream:
                found = _read(unpacking, file.name, member.filename, stream, member.file_size)
        except InputError:
            raise
        except Exception as error:  # errors of zipfile or of the decompressors zlib, lzma and bz2
            raise UnreadableImage(msg("archive-file-damaged", name=file.name)) from error
        if found is not None:
            yield found


def _members_of_tar(unpacking: _Unpacking, file: SourceFile) -> Iterator[SourceFile]:
    try:
        archive = tarfile.TarFile(fileobj=io.BytesIO(file.data))
        members = [member for member in archive if member.isfile()]
    except (tarfile.TarError, ValueError, OSError, EOFError) as error:
        raise UnreadableImage(msg("archive-damaged", name=file.name)) from error
    _check_entries(file.name, len(members))
    for member in members:
        stream = archive.extractfile(member)
        assert stream is not None
        try:
            found = _read(unpacking, file.name, member.name, stream, member.size)
        except (tarfile.TarError, OSError) as error:
            raise UnreadableImage(msg("archive-file-damaged", name=file.name)) from error
        if found is not None:
            yield found


def _content_of_gzip(unpacking: _Unpacking, file: SourceFile) -> Iterator[SourceFile]:
    """Yield the one file, without the ending of its name."""
    inflater, limit = zlib.decompressobj(zlib.MAX_WBITS | 16), min(_FILE_MAX, unpacking.left)
    try:
        data = inflater.decompress(file.data, limit + 1)
    except zlib.error as error:
        raise UnreadableImage(msg("archive-damaged", name=file.name)) from error
    if len(data) > limit:
        raise ImageTooLarge(msg("archive-too-large"))
    if not inflater.eof:
        raise UnreadableImage(msg("archive-damaged", name=file.name))
    name = file.name[:-3] if file.name.lower().endswith(".gz") else file.name
    yield SourceFile(name, data)


def _read(unpacking: _Unpacking, archive: str, name: str, stream: IO[bytes], size: int) -> SourceFile | None:
    """Read a member, never more bytes than its header declares; None if it is no image."""
    head = stream.read(min(HEAD, size))
    if unpacking.skips(name, head):
        return None
    if size > _FILE_MAX:
        raise ImageTooLarge(msg("archive-file-too-large", name=archive))
    return SourceFile(name, head + stream.read(size - len(head)))


def _check_entries(name: str, count: int) -> None:
    if count > _ENTRIES_MAX:
        raise ImageTooLarge(msg("archive-too-many-files", name=name, most=_ENTRIES_MAX))


_Opener = Callable[[_Unpacking, SourceFile], Iterator[SourceFile]]
_OPENERS: tuple[tuple[FileType, _Opener], ...] = (
    (ZIP, _members_of_zip),
    (TAR, _members_of_tar),
    (GZIP, _content_of_gzip),
)


def _opener(name: str, head: bytes) -> _Opener | None:
    """Return the function that unpacks a file; None if it is no archive, or a program or document in one."""
    if kind_of_head(name, head) not in (None, ARCHIVE):
        return None
    found = recognise(head)
    return next((opener for known, opener in _OPENERS if found is known), None)
