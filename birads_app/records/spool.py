"""Spool of received objects, until their study is complete: ``spool/<study>-<exam id>/<object>``.

Everything is encrypted, and folders and files are named by digests under the site key, so that the disk reveals nothing
about a patient. A study's folder has the id of the future exam in its name, so that a repeat after a crash creates no
second exam. Once claimed, its name ends with ``.quiet``, and later objects go into another folder. Several processes
may add objects at the same time.
"""

import hashlib
import hmac
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePath

from flask import current_app

from birads_app.files import atomic, locks
from birads_app.records import file_store, shared_locks
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.errors import SiteKeyDiffers
from birads_app.records.file_store import FileStore
from birads_app.records.shared_locks import SharedLocks
from birads_app.records.waiting_files import WaitingFile, first_of

PURPOSE = "birads spool"
_PART, CLAIMED = ".part-", ".quiet"
_ABANDONED_S = 3600  # writing a part takes seconds


def of_app() -> "Spool":
    """Return the spool of the running application."""
    return of(file_store.of_app(), current_app.extensions["birads_site_key"], shared_locks.of_app())


def of(store: FileStore, key: str, locks: SharedLocks | None = None) -> "Spool":
    """Return the spool of a store; parameters as of :class:`Spool`."""
    if store.bucket is None:
        return Spool(store.folder, key, locks)
    from birads_app.records.bucket_spool import BucketSpool

    return BucketSpool(store.folder, key, locks, bucket=store.bucket)


@dataclass(frozen=True)
class SpooledStudy:
    """A study to which no object was added for long enough."""

    folder: PurePath

    @property
    def exam_id(self) -> str:
        """Id of the future exam."""
        return self.folder.stem.partition("-")[2]


@dataclass(frozen=True)
class Spool:
    """The spool of a folder, which ``instance`` is; ``key`` is the site key.

    locks : of the installation; None if no other process uses the spool
    """

    instance: Path
    key: str = field(repr=False)
    locks: SharedLocks | None = None

    def add(self, study: str, instance: str, data: bytes) -> None:
        """Store an object and flush it to disk; the same object again takes the same place."""
        study, instance = self._digest("study", study), self._place(instance, data)
        box = encrypt(data, self.key, PURPOSE, study)
        with atomic.draft(self._root(), _PART) as part:
            atomic.write_synced(part, box)
            with self._turn():
                folder = self._open_folder(study)
                part.rename(folder / instance)
                atomic.sync_folder(folder)

    def add_all(self, study: str, objects: Iterable[tuple[str, bytes]]) -> int:
        """Store the objects of a study, by their UIDs, all or none if an error occurs; return their number."""
        study, count = self._digest("study", study), 0
        gathered = self._root() / f"{_PART}{uuid.uuid4().hex}"
        gathered.mkdir(mode=0o700)
        try:
            for count, (instance, data) in enumerate(objects, 1):  # noqa: B007
                box = encrypt(data, self.key, PURPOSE, study)
                atomic.write_synced(gathered / self._place(instance, data), box)
                os.utime(gathered)  # not left behind by a process that was killed
            if count:
                self._publish(gathered, study)
        finally:
            shutil.rmtree(gathered, ignore_errors=True)
        return count

    def claim(self, quiet_s: float) -> list[SpooledStudy]:
        """Claim the studies to which no object was added for this many seconds; later objects go elsewhere."""
        claimed = []
        with self._turn():
            for folder in self._folders():
                if _is_quiet(folder, quiet_s):
                    claimed.append(folder.with_name(folder.name.removesuffix(CLAIMED) + CLAIMED))
                    folder.rename(claimed[-1])
        return [SpooledStudy(folder) for folder in claimed]

    def postpone(self, study: SpooledStudy) -> None:
        """Restart the waiting time of a study."""
        os.utime(Path(study.folder))

    def read(self, study: SpooledStudy) -> Iterator[bytes]:
        """Yield the objects of a study in order of arrival; raise SiteKeyDiffers."""
        for path in sorted(Path(study.folder).iterdir(), key=lambda path: path.stat().st_mtime_ns):
            yield decrypt(path.read_bytes(), self.key, PURPOSE, study.folder.name.partition("-")[0])

    def remove(self, study: SpooledStudy) -> None:
        """Remove a study."""
        shutil.rmtree(Path(study.folder))

    def remove_exam(self, exam_id: str) -> None:
        """Remove the study that was to become an exam with this id, if it is there."""
        for folder in self._folders():
            if SpooledStudy(folder).exam_id == exam_id:
                shutil.rmtree(folder)

    def arrived(self) -> dict[str, datetime]:
        """Return the time of each study's last object by the id of its future exam."""
        found = {}
        for folder in self._folders():
            with suppress(FileNotFoundError):  # it has become an exam
                found[SpooledStudy(folder).exam_id] = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        return found

    def studies(self) -> int:
        """Return the number of waiting studies."""
        return len(self._folders())

    def listing(self) -> list[tuple[str, tuple[Path, Path]]]:
        """Return the objects of all studies: a name below the instance folder, and where the file is now or will be.

        The second path holds once the study is claimed.
        """
        with self._turn():
            return [
                (
                    path.relative_to(self.instance).as_posix(),
                    (path, folder.with_name(folder.name.removesuffix(CLAIMED) + CLAIMED) / path.name),
                )
                for folder in self._folders()
                for path in sorted(folder.iterdir())
            ]

    def waiting(self) -> list[WaitingFile]:
        """Return the objects of all studies."""
        return [WaitingFile(name, partial(first_of, *places)) for name, places in self.listing()]

    def adopt(self, name: str, path: Path) -> None:
        """Store a file of another place's :meth:`waiting` under its name."""
        target = self.instance / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic.draft(self._root(), _PART) as part:
            shutil.copyfile(path, part)
            shutil.copystat(path, part)
            part.replace(target)

    def encrypt_again(self, key: str) -> None:
        """Encrypt all objects with another site key, each in one step; those that have it already stay.

        Only call this while no other process uses the spool. Names stay as they are.
        """
        for _, (path, _later) in self.listing():
            study, status = path.parent.name.partition("-")[0], path.stat()
            try:
                data = decrypt(path.read_bytes(), self.key, PURPOSE, study)
            except SiteKeyDiffers:
                continue
            with atomic.draft(self._root(), _PART) as part:
                atomic.write_synced(part, encrypt(data, key, PURPOSE, study))
                os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))  # the order of arrival
                part.rename(path)

    def unreadable(self) -> list[str]:
        """Return the names of objects that cannot be read or decrypted, as :meth:`listing` gives them."""
        found = []
        for name, places in self.listing():
            path = next((place for place in places if place.exists()), None)
            try:
                if path is not None:  # None: it has become an exam
                    decrypt(path.read_bytes(), self.key, PURPOSE, path.parent.name.partition("-")[0])
            except FileNotFoundError:
                continue
            except (OSError, SiteKeyDiffers, ValueError):
                found.append(name)
        return found

    def remove_leftovers(self) -> None:
        """Remove what killed processes have left incomplete; for the receiver, before it listens.

        Objects by themselves are of an earlier receiver, which has ended. A study may be gathered by a fetch at the
        moment, unless nothing was added to it for an hour.
        """
        for part in self._root().glob(f"{_PART}*"):
            if not part.is_dir():
                part.unlink(missing_ok=True)
            elif _is_quiet(part, _ABANDONED_S):
                shutil.rmtree(part)

    @contextmanager
    def alone(self, wait: bool) -> Iterator[bool]:
        """Lock the spool for one worker process of this machine; yield False if another one has it.

        Parameters
        ----------
        wait : wait for the lock instead
        """
        path = self._root() / ".work.lock"
        if wait:
            with locks.exclusive(path):
                yield True
        else:
            with locks.try_exclusive(path) as first:
                yield first

    def step(self, name: str) -> AbstractContextManager[bool]:
        """Lock a kind of work for one process of the installation; yields False if another one does it."""
        return self._locks.try_exclusive(f"{self._root().name}/.{name}.lock")

    def _publish(self, gathered: Path, study: str) -> None:
        """Make gathered objects a study, or add them to the study if it has a folder."""
        with self._turn():
            existing = [folder for folder in self._folders(study) if folder.suffix != CLAIMED]
            if existing:
                for path in gathered.iterdir():
                    path.rename(existing[0] / path.name)
                atomic.sync_folder(existing[0])
            else:
                gathered.rename(self._root() / f"{study}-{uuid.uuid4().hex}")
            atomic.sync_folder(self._root())

    def _open_folder(self, study: str) -> Path:
        """Return the folder to which objects of a study are added."""
        for folder in self._folders(study):
            if folder.suffix != CLAIMED:
                return folder
        folder = self._root() / f"{study}-{uuid.uuid4().hex}"
        folder.mkdir(mode=0o700)
        atomic.sync_folder(self._root())
        return folder

    def _folders(self, study: str = "") -> list[Path]:
        return sorted(self._root().glob(f"{study or '[!.]*'}-*"))

    def _root(self) -> Path:
        folder = self.instance / "spool"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _turn(self) -> AbstractContextManager[None]:
        """Lock the names of folders, between threads and processes alike."""
        return self._locks.exclusive(f"{self._root().name}/.turn.lock")

    @property
    def _locks(self) -> SharedLocks:
        return self.locks or SharedLocks(self.instance)

    def _place(self, instance: str, data: bytes) -> str:
        """Return the name of an object's file: another one for other content under the same UID."""
        return self._digest("instance", f"{instance}\0{hashlib.sha256(data).hexdigest()}")

    def _digest(self, kind: str, uid: str) -> str:
        return hmac.digest(self.key.encode(), f"spool {kind}\0{uid}".encode(), hashlib.sha256).hex()[:32]


def _is_quiet(path: Path, seconds: float) -> bool:
    return time.time() - path.stat().st_mtime >= seconds
