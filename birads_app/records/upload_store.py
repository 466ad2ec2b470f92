"""Files of uploads that are read later: ``uploads/<name>``, encrypted, in the folder or in the bucket.

Each file has all files of one upload, in frames that are encrypted one by one and bound to their place, so that an
upload of any size passes through little memory, and a missing end is noticed. Names are random; those of the sent files
are inside.
"""

import hashlib
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import IO

from flask import current_app

from birads_app.files import atomic
from birads_app.files.shared_bytes import SharedBytes
from birads_app.imaging.source_file import SourceFile
from birads_app.records import file_store, shared_locks
from birads_app.records.bucket import Bucket
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.errors import SiteKeyDiffers
from birads_app.records.file_store import FileStore
from birads_app.records.waiting_files import WaitingFile

_PURPOSE = "birads uploads"
_PART = ".part-"
_FRAME = 1 << 20
# First byte of a frame.
_KEY, _ONCE, _NAME, _VIEW, _DATA, _END = b"K", b"O", b"N", b"V", b"D", b"E"
_FILE = re.compile(r"[0-9a-f]{32}")
_ABANDONED_S = 3600  # longer than a client may pause


class UploadCutOff(ValueError):
    """A stored file does not end as it should."""


class UploadDraft:
    """Upload that is being received.

    files : number of its files
    bytes : their size
    """

    def __init__(self, name: str, stream: IO[bytes], key: str, repeat_key: str, once: bool = False) -> None:
        self.name, self._stream, self._key = name, stream, key
        self.files = self.bytes = self._frames = 0
        self._pending = bytearray()
        self._digest = hashlib.blake2b(digest_size=16)
        self._write(_ONCE if once else _KEY, repeat_key.encode())

    def begin(self, filename: str, laterality: str | None = None, view: str | None = None) -> None:
        """Begin with the next file.

        Parameters
        ----------
        laterality, view : as a person has set them
        """
        self._flush()
        self._digest.update(f"{self.files} {self.bytes};".encode())
        self._write(_NAME, filename.encode())
        if laterality or view:
            self._write(_VIEW, f"{laterality or ''},{view or ''}".encode())
        self.files += 1

    def add(self, data: bytes) -> None:
        """Append to the file."""
        self._digest.update(data)
        self.bytes += len(data)
        self._pending += data
        if len(self._pending) >= _FRAME:
            self._flush()

    def close(self) -> None:
        """Write the end."""
        self._flush()
        self._write(_END, b"")

    def digest(self) -> str:
        """Return a digest of the content of all files, and of where one ends."""
        return self._digest.hexdigest()

    def _flush(self) -> None:
        if self._pending:
            self._write(_DATA, bytes(self._pending))
            self._pending.clear()

    def _write(self, kind: bytes, content: bytes) -> None:
        box = encrypt(kind + content, self._key, _PURPOSE, _owner(self.name, self._frames))
        self._stream.write(len(box).to_bytes(4, "big"))
        self._stream.write(box)
        self._frames += 1


def of_app() -> "UploadStore":
    """Return the uploads of the running application."""
    return of(file_store.of_app(), current_app.extensions["birads_site_key"])


def of(store: FileStore, key: str) -> "UploadStore":
    """Return the uploads of a store; ``key`` is the site key."""
    return UploadStore(store.folder, key, store.bucket)


@dataclass(frozen=True)
class UploadStore:
    """The uploads of a folder, which ``instance`` is, or of a bucket; ``key`` is the site key.

    With a bucket the folder has copies: of this machine's own uploads, and of those that it reads.
    """

    instance: Path
    key: str = field(repr=False)
    bucket: Bucket | None = None

    @contextmanager
    def draft(self, repeat_key: str = "", *, once: bool = False) -> Iterator[UploadDraft]:
        """Yield a draft that is stored under its name after the block, unless that fails.

        Parameters
        ----------
        repeat_key : with which the upload may be repeated; kept inside
        once : whether a study that is stored already is to be left; kept inside
        """
        name = uuid.uuid4().hex
        part = self._root() / f"{_PART}{name}"
        try:
            with part.open("xb") as stream:
                upload = UploadDraft(name, stream, self.key, repeat_key, once)
                yield upload
                upload.close()
                atomic.sync(stream)
            if self.bucket is not None:
                self.bucket.send(part, _key(name))
            part.rename(self._root() / name)
            atomic.sync_folder(self._root())
        finally:
            part.unlink(missing_ok=True)

    def put(self, text: str) -> str:
        """Store a text; return its name."""
        with self.draft() as upload:
            upload.begin("")
            upload.add(text.encode())
        return upload.name

    def text(self, name: str) -> str:
        """Return a text; raises OSError, SiteKeyDiffers, UploadCutOff."""
        return b"".join(file.data for file in self.files(name)).decode()

    def repeat_key(self, name: str) -> str:
        """Return the key with which the upload may be repeated; errors as :meth:`text`."""
        return next(self._frames(name))[1].decode()

    def is_once(self, name: str) -> bool:
        """Return whether a study that is stored already is to be left; errors as :meth:`text`."""
        return next(self._frames(name))[0] == _ONCE

    def files(self, name: str) -> Iterator[SourceFile]:
        """Yield an upload's files, each once it is complete; errors as :meth:`text`."""
        filename: str | None = None
        content, view = SharedBytes.of(()), [""]
        for kind, data in self._frames(name):
            if kind == _DATA:
                content.append(data)
            elif kind == _VIEW:
                view = data.decode().split(",")
            else:
                if filename is not None:
                    yield SourceFile(filename, content, view[0] or None, view[-1] or None)
                filename, content, view = (data.decode() if kind == _NAME else None), SharedBytes.of(()), [""]

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if name:
            (self._root() / name).unlink(missing_ok=True)
            if self.bucket is not None:
                self.bucket.remove(_key(name))

    def names(self) -> list[str]:
        """Return the names of all uploads."""
        if self.bucket is not None:
            return [PurePath(one.name).name for one in self.bucket.listing(_key(""))]
        return sorted(path.name for path in self._root().iterdir() if _FILE.fullmatch(path.name))

    def remove_leftovers(self, needed: set[str], abandoned_s: float | None = None) -> None:
        """Remove what killed processes have left, and files that no job needs.

        Parameters
        ----------
        abandoned_s : age of what is removed from the folder, an hour by default; 0 only while nothing is received
        """
        abandoned_s = _ABANDONED_S if abandoned_s is None else abandoned_s
        for path in self._root().iterdir():
            kept = path.name in needed or path.suffix == ".lock"
            if not kept and time.time() - path.stat().st_mtime > abandoned_s:
                path.unlink(missing_ok=True)
        for one in () if self.bucket is None else self.bucket.listing(_key("")):
            age = time.time() - one.stored_at.timestamp()
            if PurePath(one.name).name not in needed and age > _ABANDONED_S:
                self.remove(PurePath(one.name).name)

    def waiting(self) -> list[WaitingFile]:
        """Return all uploads."""
        return [WaitingFile(_key(name), partial(self._opened, name)) for name in self.names()]

    def adopt(self, name: str, path: Path) -> None:
        """Store a file of another place's :meth:`waiting` under its name."""
        if self.bucket is not None:
            self.bucket.send(path, name)
            return
        with atomic.draft(self._root(), _PART) as part:
            shutil.copyfile(path, part)
            part.replace(self.instance / name)

    def unreadable(self) -> list[str]:
        """Return the names of the files that cannot be read or decrypted, as :meth:`waiting` gives them."""
        found = []
        for name in self.names():
            try:
                for _ in self._frames(name, stored=True):
                    pass
            except FileNotFoundError:  # it is done
                continue
            except (OSError, SiteKeyDiffers, ValueError):
                found.append(_key(name))
        return found

    def encrypt_again(self, key: str) -> None:
        """Encrypt all files with another site key, each in one step; those that have it already stay.

        Only call this while no other process uses them.
        """
        for name in self.names():
            try:
                next(self._frames(name, stored=True))
            except SiteKeyDiffers:
                continue
            path = self._root() / name
            with atomic.draft(self._root(), _PART) as part:
                with part.open("wb") as stream:
                    for number, (kind, data) in enumerate(self._frames(name, stored=True)):
                        box = encrypt(kind + data, key, _PURPOSE, _owner(name, number))
                        stream.write(len(box).to_bytes(4, "big") + box)
                    atomic.sync(stream)
                shutil.copystat(path, part)
                if self.bucket is not None:
                    self.bucket.send(part, _key(name))
                part.replace(path)

    def alone(self) -> AbstractContextManager[bool]:
        """Lock the work on uploads; yields False if another process or thread has it."""
        return shared_locks.of_app().try_exclusive(f"{self._root().name}/work.lock")

    def _frames(self, name: str, *, stored: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield kind and content of all frames; errors as :meth:`text`.

        Parameters
        ----------
        stored : read what is in the bucket, if there is one, although the folder may have a copy
        """
        kind, number = b"", 0
        with self._opened(name, stored=stored) as path, path.open("rb") as stream:
            while kind != _END:
                size = int.from_bytes(stream.read(4), "big")
                box = stream.read(size)
                if not size or len(box) < size:
                    raise UploadCutOff(name)
                plain = decrypt(box, self.key, _PURPOSE, _owner(name, number))
                kind, number = plain[:1], number + 1
                yield kind, plain[1:]

    @contextmanager
    def _opened(self, name: str, *, stored: bool = False) -> Iterator[Path]:
        """Yield the path of an upload, which is copied from the bucket first if need be; parameter as above."""
        path = self._root() / name
        if self.bucket is not None and (stored or not path.exists()):
            with atomic.draft(self._root(), _PART) as part:
                self.bucket.fetch(_key(name), part)
                part.rename(path)
        yield path

    def _root(self) -> Path:
        folder = self.instance / file_store.UPLOADS
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder


def _key(name: str) -> str:
    """Return the name of an upload in the store."""
    return f"{file_store.UPLOADS}/{name}"


def _owner(name: str, number: int) -> str:
    """Return the owner of a frame, which its encryption is bound to."""
    return f"{name} {number}"
