"""Unpacking of archives in an upload: ZIP, tar and gzip, also within one another.

Archives are opened in processes of their own, some members at a time. Each member is inflated once. Of members that are
no images only the beginning is inflated.
"""

import gzip
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import IO, cast

from birads_app.compute.pool import ComputePool
from birads_app.compute.turns import Urgency
from birads_app.files.bounded_reading import BOUNDED_METHODS, PIECE, LongerThanAllowed, pieces
from birads_app.files.shared_bytes import SharedBytes
from birads_app.imaging.file_signatures import ARCHIVE, GZIP, HEAD, TAR, ZIP, FileType, recognise
from birads_app.imaging.limits import EXPANSION_FREE, EXPANSION_MAX
from birads_app.imaging.source_file import SourceFile
from birads_app.intake.companions import Companion, Companions, companion_of, kind_of_head
from birads_app.terms.errors import ImageTooLarge, InputError, UnreadableImage
from birads_app.terms.messages import Message, msg

# Bytes of one unpacked file, and of all archives of an upload: the largest tomosynthesis volumes have half of it.
_FILE_MAX = _UPLOAD_MAX = 1 << 30
_ENTRIES_MAX = 10_000  # of a sent archive, with those within it; images among them are counted separately
_NESTED_MAX = 3  # archives around a file
_BATCH = 1 << 26  # bytes after which unpacked files are handed on
_CENTRAL_HEADER = b"PK\x01\x02"  # before each entry of a ZIP archive's directory


@dataclass(frozen=True)
class Budget:
    """Limits that are left.

    size : bytes that may still be unpacked in the upload
    entries : that the sent archive may still have
    images : highest number of images in it
    images_left : that it may still have
    """

    size: int
    entries: int
    images: int
    images_left: int


@dataclass(frozen=True)
class Batch:
    """Some files out of an archive.

    images : names and sizes of possible images, which lie in the target one after another
    companions : the other files
    following : number of the member to begin with next; None after the last one
    """

    images: tuple[tuple[str, int], ...]
    companions: tuple[Companion, ...]
    budget: Budget
    following: int | None


@dataclass(frozen=True)
class _Member:
    """A member of an archive.

    size : of its content, as declared; None if unknown
    compressed : bytes in the archive; None if not compressed
    open : returns its content; None for folders, links and devices
    damage : message if it cannot be inflated
    """

    name: str
    size: int | None
    compressed: int | None
    open: Callable[[], IO[bytes]] | None
    damage: Message


def unpacked(
    files: Iterable[SourceFile],
    most: int,
    companions: Companions | None = None,
    compute: ComputePool | None = None,
    urgency: Urgency = Urgency.REQUEST,
) -> Iterator[SourceFile]:
    """Yield the files of an upload; of those in archives, the ones that may be images by their first bytes.

    Parameters
    ----------
    most : highest number of files in an archive, other than companions
    companions : receives the others
    compute : processes for opening archives; None to open them in this one
    urgency : of opening them

    Raises
    ------
    InputError
        An archive is damaged, encrypted or too large, or contains too many files.
    """
    pool, left = compute or ComputePool(0), _UPLOAD_MAX
    for file in files:
        if _opener(file.name, file.head) is None:
            yield file
            continue
        budget = Budget(left, _ENTRIES_MAX, most, most)
        following: int | None = 0
        while following is not None:
            target = SharedBytes.of(())
            batch = pool.run(unpack, file, following, budget, target, urgency=urgency)
            if companions is not None:
                companions.found.extend(batch.companions)
            start = 0
            for name, size in batch.images:
                yield SourceFile(name, target.part(start, size))
                start += size
            budget, following = batch.budget, batch.following
        left = budget.size


def unpack(file: SourceFile, first: int, budget: Budget, target: SharedBytes) -> Batch:
    """Unpack members of a sent archive from number ``first`` on into the target; raises InputError."""
    unpacking = _Unpacking(file.name, budget, target)
    following = unpacking.add_members(file, first, 0)
    left = replace(
        budget,
        size=unpacking.size,
        entries=unpacking.entries,
        images_left=budget.images_left - len(unpacking.images),
    )
    return Batch(tuple(unpacking.images), tuple(unpacking.companions), left, following)


class _Unpacking:
    """State of one batch."""

    def __init__(self, archive: str, budget: Budget, target: SharedBytes) -> None:
        self.size, self.entries = budget.size, budget.entries
        self.images: list[tuple[str, int]] = []
        self.companions: list[Companion] = []
        self._archive, self._budget, self._target = archive, budget, target

    def add_members(self, file: SourceFile, first: int, depth: int) -> int | None:
        """Unpack the members of an archive; return the number of the next one if the batch is full."""
        opener = _opener(file.name, file.head)
        assert opener is not None
        members = opener(file)
        if not first:
            self.entries -= len(members)
        if self.entries < 0:
            raise ImageTooLarge(msg("archive-too-many-files", name=file.name, most=_ENTRIES_MAX))
        for number, member in enumerate(members[first:], first):
            if depth == 0 and len(self._target) >= _BATCH:
                return number
            content = None if member.open is None else self._inflate(file, member, member.open)
            if content is not None:
                self._add(SourceFile(member.name, content), depth + 1)
        return None

    def _add(self, file: SourceFile, depth: int) -> None:
        """Add a file, or the files in it if it is an archive."""
        self.size -= len(file.content)
        if _opener(file.name, file.head) is None:
            if len(self.images) == self._budget.images_left:
                raise ImageTooLarge(
                    msg("archive-too-many-files", name=self._archive, most=self._budget.images)
                )
            self.images.append((file.name, len(file.content)))
            stream = file.stream()
            while piece := stream.read(PIECE):
                self._target.append(piece)
        elif depth == _NESTED_MAX:
            raise UnreadableImage(msg("archive-nested", name=file.name, most=_NESTED_MAX))
        else:
            self.add_members(file, 0, depth)

    def _inflate(
        self, archive: SourceFile, member: _Member, open_member: Callable[[], IO[bytes]]
    ) -> SharedBytes | None:
        """Inflate a member, never more bytes than declared or allowed; None if it is no image."""
        try:
            with open_member() as stream:
                head = stream.read(HEAD if member.size is None else min(HEAD, member.size))
                if self._skips(member.name, head):
                    return None
                self._check_declared(archive.name, member)
                most = self.size if member.size is None else member.size
                content = SharedBytes.of((head,))
                for piece in pieces(stream, most - len(head)):
                    content.append(piece)
                    _check_expansion(archive.name, len(content), member.compressed)
                return content
        except InputError:
            raise
        except LongerThanAllowed:
            raise ImageTooLarge(msg("archive-too-large")) from None
        except Exception as error:  # of the formats' modules and of the decompressors
            raise UnreadableImage(member.damage) from error

    def _check_declared(self, archive: str, member: _Member) -> None:
        """Raise ImageTooLarge for a member whose declared size is over a limit."""
        if member.size is None:
            return
        if member.size > _FILE_MAX:
            raise ImageTooLarge(msg("archive-file-too-large", name=archive))
        if member.size > self.size:
            raise ImageTooLarge(msg("archive-too-large"))
        _check_expansion(archive, member.size, member.compressed)

    def _skips(self, name: str, head: bytes) -> bool:
        """Return True for a member whose beginning shows that it is no image; keep account of it."""
        if kind_of_head(name, head) is None or _opener(name, head) is not None:
            return False
        if companion := companion_of(SourceFile(name, head)):
            self.companions.append(companion)
        return companion is not None


def _check_expansion(archive: str, size: int, compressed: int | None) -> None:
    """Raise ImageTooLarge for content that is far larger than its compressed form, as that of images never is."""
    if compressed is not None and size > EXPANSION_FREE and size > EXPANSION_MAX * compressed:
        raise ImageTooLarge(msg("archive-expands", name=archive, times=EXPANSION_MAX))


def _members_of_zip(file: SourceFile) -> list[_Member]:
    if _occurrences(file.stream(), _CENTRAL_HEADER) > _ENTRIES_MAX:  # before each of them takes memory
        raise ImageTooLarge(msg("archive-too-many-files", name=file.name, most=_ENTRIES_MAX))
    try:
        archive = zipfile.ZipFile(file.stream())
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except Exception as error:  # zipfile raises several
        raise UnreadableImage(msg("archive-damaged", name=file.name)) from error

    def opened(entry: zipfile.ZipInfo) -> IO[bytes]:
        if entry.flag_bits & 1:
            raise UnreadableImage(msg("archive-encrypted", name=file.name))
        if entry.compress_type not in BOUNDED_METHODS:
            raise UnreadableImage(msg("archive-method", name=file.name))
        return archive.open(entry)

    damage = msg("archive-file-damaged", name=file.name)
    return [
        _Member(entry.filename, entry.file_size, entry.compress_size, partial(opened, entry), damage)
        for entry in entries
    ]


def _members_of_tar(file: SourceFile) -> list[_Member]:
    try:
        archive = tarfile.TarFile(fileobj=file.stream(), errors="replace")
        entries = list(islice(archive, _ENTRIES_MAX + 1))
    except Exception as error:  # also a RecursionError for a long chain of headers
        raise UnreadableImage(msg("archive-damaged", name=file.name)) from error

    def opened(entry: tarfile.TarInfo) -> IO[bytes]:
        stream = archive.extractfile(entry)
        assert stream is not None
        return stream

    damage = msg("archive-file-damaged", name=file.name)
    return [
        _Member(entry.name, entry.size, None, partial(opened, entry) if entry.isfile() else None, damage)
        for entry in entries
    ]


def _content_of_gzip(file: SourceFile) -> list[_Member]:
    """Return the one file, without the ending of its name."""
    name = file.name[:-3] if file.name.lower().endswith(".gz") else file.name
    damage = msg("archive-damaged", name=file.name)

    def opened() -> IO[bytes]:
        return cast(IO[bytes], gzip.GzipFile(fileobj=file.stream()))

    return [_Member(name, None, len(file.content), opened, damage)]


def _occurrences(stream: IO[bytes], pattern: bytes) -> int:
    """Return how often a pattern occurs."""
    count, end = 0, b""
    while piece := stream.read(PIECE >> 4):
        count += (end + piece).count(pattern)
        end = piece[-len(pattern) + 1 :]
    return count


_Opener = Callable[[SourceFile], list[_Member]]
_OPENERS: tuple[tuple[FileType, _Opener], ...] = (
    (ZIP, _members_of_zip),
    (TAR, _members_of_tar),
    (GZIP, _content_of_gzip),
)


def _opener(name: str, head: bytes) -> _Opener | None:
    """Return the function that lists an archive's members; None if it is none, or a program or document in one."""
    if kind_of_head(name, head) not in (None, ARCHIVE):
        return None
    found = recognise(head)
    return next((opener for known, opener in _OPENERS if found is known), None)
