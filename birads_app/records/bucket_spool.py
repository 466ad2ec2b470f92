"""Spool in a bucket: ``spool/<study>-<exam id>/<time of arrival>-<object>``, encrypted as in a folder.

Empty objects say what a folder's name does on a disk: ``open`` makes a study visible once it is whole, ``quiet`` ends
it once it is claimed, and ``later`` restarts its waiting time. Who adds an object looks afterwards whether the study
was claimed meanwhile, and then adds it to another one, so that nothing is locked while an object is sent.
"""

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path, PurePath, PurePosixPath

from birads_app.records.bucket import Bucket, StoredObject
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.errors import SiteKeyDiffers
from birads_app.records.file_store import ABANDONED_S, SPOOL
from birads_app.records.spool import CLAIMED, PURPOSE, Spool, SpooledStudy
from birads_app.records.waiting_files import WaitingFile

_OPEN, _QUIET, _LATER = "open", "quiet", "later"


@dataclass(frozen=True)
class _Folder:
    """A study: all its objects by name, and so in order of arrival."""

    name: str
    entries: Sequence[StoredObject] = ()

    @cached_property
    def marks(self) -> set[str]:
        """Names of the empty objects."""
        return {_OPEN, _QUIET, _LATER} & {_last(one) for one in self.entries}

    @property
    def objects(self) -> list[StoredObject]:
        """Received objects."""
        return [one for one in self.entries if _last(one) not in self.marks]

    @property
    def changed_at(self) -> datetime:
        """Time of the last change; claiming is none."""
        return max(one.stored_at for one in self.entries if _last(one) != _QUIET or len(self.entries) == 1)

    @property
    def takes_objects(self) -> bool:
        return _OPEN in self.marks and _QUIET not in self.marks

    def key(self, name: str) -> str:
        return f"{SPOOL}/{self.name}/{name}"

    def is_unchanged_for(self, seconds: float) -> bool:
        return time.time() - self.changed_at.timestamp() >= seconds


@dataclass(frozen=True)
class BucketSpool(Spool):
    """The spool of a bucket; ``instance`` is this machine's folder, for locks and temporary files."""

    bucket: Bucket = field(kw_only=True)

    def add(self, study: str, instance: str, data: bytes) -> None:
        """Store an object; the same object again replaces the former."""
        study, instance = self._digest("study", study), self._place(instance, data)
        box = encrypt(data, self.key, PURPOSE, study)
        self._add(study, instance, lambda key: self.bucket.write(key, box))

    def add_all(self, study: str, objects: Iterable[tuple[str, bytes]]) -> int:
        """Store the objects of a study, by their UIDs, all or none if an error occurs; return their number."""
        study, gathered = self._digest("study", study), []
        folder = _Folder(_new_name(study))
        try:
            for instance, data in objects:
                name = self._place(instance, data)
                gathered.append((name, folder.key(_arrival(name))))
                self.bucket.write(gathered[-1][1], encrypt(data, self.key, PURPOSE, study))
            if gathered and self._open(study, folder) is not folder:  # others have arrived before
                for name, source in gathered:
                    self._add(study, name, partial(self.bucket.copy, source))
                self.bucket.remove(*(source for _, source in gathered))
        except BaseException:
            self.bucket.remove(*(source for _, source in gathered))
            raise
        return len(gathered)

    def claim(self, quiet_s: float) -> list[SpooledStudy]:
        """Claim the studies to which no object was added for this many seconds; later objects go elsewhere."""
        claimed = []
        for folder in self._visible():
            if folder.is_unchanged_for(quiet_s):
                if _QUIET not in folder.marks:
                    self.bucket.write(folder.key(_QUIET), b"")
                claimed.append(SpooledStudy(PurePosixPath(folder.name + CLAIMED)))
        return claimed

    def postpone(self, study: SpooledStudy) -> None:
        """Restart the waiting time of a study."""
        self.bucket.write(_Folder(study.folder.stem).key(_LATER), b"")

    def read(self, study: SpooledStudy) -> Iterator[bytes]:
        """Yield the objects of a study in order of arrival; raise SiteKeyDiffers."""
        for folder in self._listed(study.folder.stem):
            for one in folder.objects:
                yield decrypt(self.bucket.read(one.name), self.key, PURPOSE, _study(folder.name))

    def remove(self, study: SpooledStudy) -> None:
        """Remove a study."""
        for folder in self._listed(study.folder.stem):
            self._remove(folder)

    def remove_exam(self, exam_id: str) -> None:
        """Remove the study that was to become an exam with this id, if it is there."""
        for folder in self._visible():
            if SpooledStudy(PurePath(folder.name)).exam_id == exam_id:
                self._remove(folder)

    def arrived(self) -> dict[str, datetime]:
        """Return the time of each study's last object by the id of its future exam."""
        return {SpooledStudy(PurePath(folder.name)).exam_id: folder.changed_at for folder in self._visible()}

    def studies(self) -> int:
        """Return the number of waiting studies."""
        return len(self._visible())

    def waiting(self) -> list[WaitingFile]:
        """Return the objects of all studies."""
        found = []
        for folder in self._visible():
            place = f"{SPOOL}/{folder.name}{CLAIMED if _QUIET in folder.marks else ''}"
            for one in folder.objects:
                opened = partial(self._opened, one.name)
                found.append(WaitingFile(f"{place}/{_object(one.name)}", opened))
        return found

    def adopt(self, name: str, path: Path) -> None:
        """Store a file of another place's :meth:`waiting` under its name."""
        _, folder, instance = name.split("/")
        target = _Folder(folder.removesuffix(CLAIMED))
        arrived = f"{path.stat().st_mtime_ns:020d}-{instance}"
        self.bucket.send(path, target.key(arrived))
        for mark in (_OPEN, _QUIET)[: 1 + folder.endswith(CLAIMED)]:
            self.bucket.write(target.key(mark), b"")

    def encrypt_again(self, key: str) -> None:
        """Encrypt all objects with another site key, each in one step; those that have it already stay."""
        for folder in self._listed():
            for one in folder.objects:
                try:
                    data = decrypt(self.bucket.read(one.name), self.key, PURPOSE, _study(folder.name))
                except SiteKeyDiffers:
                    continue
                self.bucket.write(one.name, encrypt(data, key, PURPOSE, _study(folder.name)))

    def unreadable(self) -> list[str]:
        """Return the names of objects that cannot be read or decrypted."""
        found = []
        for folder in self._visible():
            for one in folder.objects:
                try:
                    decrypt(self.bucket.read(one.name), self.key, PURPOSE, _study(folder.name))
                except FileNotFoundError:  # it has become an exam
                    continue
                except (SiteKeyDiffers, ValueError):
                    found.append(one.name)
        return found

    def remove_leftovers(self) -> None:
        """Remove what killed processes have left incomplete an hour ago."""
        for folder in self._listed():
            if _OPEN not in folder.marks and folder.is_unchanged_for(ABANDONED_S):
                self._remove(folder)

    def _add(self, study: str, instance: str, put: Callable[[str], None]) -> None:
        """Put an object into the open study; into another one, if that is claimed meanwhile."""
        while True:
            folder = self._open(study, _Folder(_new_name(study)))
            key = folder.key(_arrival(instance))
            put(key)
            if any(now.takes_objects for now in self._listed(folder.name)):
                break
            self.bucket.remove(key)
        self.bucket.remove(*(one.name for one in folder.objects if _object(one.name) == instance))

    def _open(self, study: str, new: _Folder) -> _Folder:
        """Return the study to which objects are added; the given one if there was none."""
        found = self._taking(study)
        if found is not None:
            return found
        with self._turn():
            found = self._taking(study)
            if found is None:
                self.bucket.write(new.key(_OPEN), b"")
        return found or new

    def _taking(self, study: str) -> _Folder | None:
        return next((folder for folder in self._listed(f"{study}-") if folder.takes_objects), None)

    def _visible(self) -> list[_Folder]:
        return [folder for folder in self._listed() if _OPEN in folder.marks]

    def _listed(self, prefix: str = "") -> Sequence[_Folder]:
        """Return the studies whose names begin with the prefix."""
        found = groupby(self.bucket.listing(f"{SPOOL}/{prefix}"), lambda one: one.name.split("/")[1])
        return [_Folder(name, tuple(entries)) for name, entries in found]

    def _remove(self, folder: _Folder) -> None:
        """Hide a study, then remove its objects."""
        last = (_LATER, _QUIET)
        marks = (folder.key(mark) for mark in last if mark in folder.marks)
        self.bucket.remove(folder.key(_OPEN), *(one.name for one in folder.objects), *marks)

    @contextmanager
    def _opened(self, key: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix=".part-", dir=self._root()) as folder:
            path = Path(folder, "object")
            self.bucket.fetch(key, path)
            arrived = int(key.rpartition("/")[2].partition("-")[0])
            os.utime(path, ns=(arrived, arrived))
            yield path


def _new_name(study: str) -> str:
    return f"{study}-{uuid.uuid4().hex}"


def _arrival(instance: str) -> str:
    return f"{time.time_ns():020d}-{instance}"


def _object(key: str) -> str:
    """Return the name of an object without its time of arrival."""
    return key.rpartition("/")[2].partition("-")[2]


def _last(one: StoredObject) -> str:
    return one.name.rpartition("/")[2]


def _study(folder: str) -> str:
    return folder.partition("-")[0]
