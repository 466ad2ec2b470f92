"""Unpacking of archives in an upload: ZIP, tar and gzip, also within one another.

Each member is inflated once. Of members that are no images only the beginning is inflated.
"""

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import IO

from birads_app.files.shared_bytes import SharedBytes
from birads_app.imaging.file_signatures import ARCHIVE, GZIP, HEAD, TAR, ZIP, FileType, recognise
from birads_app.imaging.source_file import SourceFile
from birads_app.intake.companions import Companions, companion_of, kind_of_head
from birads_app.terms.errors import ImageTooLarge, InputError, UnreadableImage
from birads_app.terms.messages import msg

# Bytes of one unpacked file, and of all archives of an upload: the largest tomosynthesis volumes have half of it.
_FILE_MAX = _UPLOAD_MAX = 1 << 30
_ENTRIES_MAX = 10_000  # of a sent archive, with those within it; images among them are counted separately
_NESTED_MAX = 3  # archives around a file
_PIECE = 1 << 20  # bytes that are inflated at a time
_CENTRAL_HEADER = b"PK\x01\x02"  # before each entry of a ZIP archive's directory


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
    """State of an upload's unpacking.

    left : bytes that may still be unpacked
    entries_left : entries that the sent archive may still have
    """

    def __init__(self, most: int, companions: Companions) -> None:
        self.left, self.entries_left = _UPLOAD_MAX, _ENTRIES_MAX
        self._most, self._companions = most, companions

    def files_of(self, file: SourceFile, depth: int = 0) -> Iterator[SourceFile]:
        """Yield a file, or the files in it if it is an archive."""
        if depth == 0:
            self.entries_left = _ENTRIES_MAX
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
            self.left -= len(member.content)
            yield from self.files_of(member, depth + 1)

    def count_entries(self, archive: str, count: int) -> None:
        """Raise ImageTooLarge if an archive has more entries than the sent one may still have."""
        self.entries_left -= count
        if self.entries_left < 0:
            raise ImageTooLarge(msg("archive-too-many-files", name=archive, most=_ENTRIES_MAX))

    def skips(self, name: str, head: bytes) -> bool:
        """Return True for a member whose beginning shows that it is no image; keep account of it."""
        if kind_of_head(name, head) is None or _opener(name, head) is not None:
            return False
        if companion := companion_of(SourceFile(name, head)):
            self._companions.found.append(companion)
        return companion is not None


def _members_of_zip(unpacking: _Unpacking, file: SourceFile) -> Iterator[SourceFile]:
    if file.data.count(_CENTRAL_HEADER) > _ENTRIES_MAX:  # before each of them takes memory
        raise ImageTooLarge(msg("archive-too-many-files", name=file.name, most=_ENTRIES_MAX))
    try:
        archive = zipfile.ZipFile(io.BytesIO(file.data))
        members = [member for member in archive.infolist() if not member.is_dir()]
    except Exception as error:  # zipfile raises several
        raise UnreadableImage(msg("archive-damaged", name=file.name)) from error
    unpacking.count_entries(file.name, len(members))
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
        archive = tarfile.TarFile(fileobj=io.BytesIO(file.data), errors="replace")
        entries = list(islice(archive, _ENTRIES_MAX + 1))
    except Exception as error:  # also a RecursionError for a long chain of headers
        raise UnreadableImage(msg("archive-damaged", name=file.name)) from error
    unpacking.count_entries(file.name, len(entries))
    for member in entries:
        if not member.isfile():
            continue
        try:
            stream = archive.extractfile(member)
            assert stream is not None
            found = _read(unpacking, file.name, member.name, stream, member.size)
        except InputError:
            raise
        except Exception as error:  # errors of tarfile, and of negative sizes
            raise UnreadableImage(msg("archive-file-damaged", name=file.name)) from error
        if found is not None:
            yield found


def _content_of_gzip(unpacking: _Unpacking, file: SourceFile) -> Iterator[SourceFile]:
    """Yield the one file, without the ending of its name."""
    limit = min(_FILE_MAX, unpacking.left)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(file.data)) as stream:
            content = SharedBytes.of(_pieces(stream.read, limit + 1))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableImage(msg("archive-damaged", name=file.name)) from error
    if len(content) > limit:
        raise ImageTooLarge(msg("archive-too-large"))
    name = file.name[:-3] if file.name.lower().endswith(".gz") else file.name
    yield SourceFile(name, content)


def _read(unpacking: _Unpacking, archive: str, name: str, stream: IO[bytes], size: int) -> SourceFile | None:
    """Read a member, never more bytes than its header declares; None if it is no image."""
    head = stream.read(min(HEAD, size))
    if unpacking.skips(name, head):
        return None
    if size > _FILE_MAX:
        raise ImageTooLarge(msg("archive-file-too-large", name=archive))
    if size > unpacking.left:
        raise ImageTooLarge(msg("archive-too-large"))
    return SourceFile(name, SharedBytes.of(chain([head], _pieces(stream.read, size - len(head)))))


def _pieces(read: Callable[[int], bytes], count: int) -> Iterator[bytes]:
    """Yield what a stream's method reads, at most ``count`` bytes."""
    while count > 0 and (piece := read(min(_PIECE, count))):
        count -= len(piece)
        yield piece


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
