"""Files of uploads that are read later: ``uploads/<name>``, encrypted.

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
from pathlib import Path
from typing import IO

from flask import current_app

from birads_app.files import atomic
from birads_app.files.shared_bytes import SharedBytes
from birads_app.imaging.source_file import SourceFile
from birads_app.records import shared_locks
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.errors import SiteKeyDiffers

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
    return UploadStore(Path(current_app.instance_path), current_app.extensions["birads_site_key"])


@dataclass(frozen=True)
class UploadStore:
    """The uploads of one instance folder; ``key`` is the site key."""

    instance: Path
    key: str = field(repr=False)

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

    def remove_leftovers(self, needed: set[str], abandoned_s: float = _ABANDONED_S) -> None:
        """Remove what killed processes have left, and files that no job needs.

        Parameters
        ----------
        abandoned_s : age of what is removed; 0 only while no process receives uploads
        """
        for path in self._root().iterdir():
            kept = path.name in needed or path.suffix == ".lock"
            if not kept and time.time() - path.stat().st_mtime > abandoned_s:
                path.unlink(missing_ok=True)

    def listing(self) -> list[tuple[str, tuple[Path, ...]]]:
        """Return all files: the name below the instance folder, and the path."""
        return [(path.relative_to(self.instance).as_posix(), (path,)) for path in self._paths()]

    def unreadable(self) -> list[str]:
        """Return the names of the files that cannot be read or decrypted, as :meth:`listing` gives them."""
        found = []
        for path in self._paths():
            try:
                for _ in self._frames(path.name):
                    pass
            except FileNotFoundError:  # it is done
                continue
            except (OSError, SiteKeyDiffers, ValueError):
                found.append(path.relative_to(self.instance).as_posix())
        return found

    def encrypt_again(self, key: str) -> None:
        """Encrypt all files with another site key, each in one step; those that have it already stay.

        Only call this while no other process uses them.
        """
        for path in self._paths():
            try:
                self.repeat_key(path.name)
            except SiteKeyDiffers:
                continue
            with atomic.draft(self._root(), _PART) as part:
                with part.open("wb") as stream:
                    for number, (kind, data) in enumerate(self._frames(path.name)):
                        box = encrypt(kind + data, key, _PURPOSE, _owner(path.name, number))
                        stream.write(len(box).to_bytes(4, "big") + box)
                    atomic.sync(stream)
                shutil.copystat(path, part)
                part.replace(path)

    def alone(self) -> AbstractContextManager[bool]:
        """Lock the work on uploads; yields False if another process or thread has it."""
        return shared_locks.of_app().try_exclusive(f"{self._root().name}/work.lock")

    def _frames(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield kind and content of all frames; errors as :meth:`text`."""
        kind, number = b"", 0
        with (self._root() / name).open("rb") as stream:
            while kind != _END:
                size = int.from_bytes(stream.read(4), "big")
                box = stream.read(size)
                if not size or len(box) < size:
                    raise UploadCutOff(name)
                plain = decrypt(box, self.key, _PURPOSE, _owner(name, number))
                kind, number = plain[:1], number + 1
                yield kind, plain[1:]

    def _paths(self) -> list[Path]:
        return sorted(path for path in self._root().iterdir() if _FILE.fullmatch(path.name))

    def _root(self) -> Path:
        folder = self.instance / "uploads"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder


def _owner(name: str, number: int) -> str:
    """Return the owner of a frame, which its encryption is bound to."""
    return f"{name} {number}"
