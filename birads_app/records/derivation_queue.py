"""Queue of exams whose derived files are made, after the answer, on one thread of each process.

The exams that a process has just stored wait for its thread, with what the reading has left in memory. A further one
is left, as is every exam of a process that ends: its marker stays, without a lock. Whenever no exam waits, the threads
make the files of exams that are left from their originals, one exam at a time, while uploads leave a process spare.
What is not seen at once, such as heat maps, also waits a moment while readers open exams.
"""

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flask import Flask, current_app, request

from birads_app.compute.pool import ComputePool
from birads_app.compute.turns import Urgency
from birads_app.logs import RequestThreads, request_id, where
from birads_app.model.predictor import Predictor
from birads_app.monitoring import instruments
from birads_app.records import derived_files, disk_space, file_cache, files, shared_locks
from birads_app.records.database import session
from birads_app.records.derived_files import Material, marker, marker_name
from birads_app.records.errors import FilesUnavailable, NotFound
from birads_app.records.exam_packages import DERIVED, ORIGINALS
from birads_app.records.schema import Exam
from birads_app.records.shared_locks import Held

log = logging.getLogger(__name__)

# The feature map and breast mask of an image take 0.45 MB at 224 pixels, an exam of four views 1.8 MB; at 896 pixels
# 29 MB, so that hardly a second one waits.
WAITING_MAX, _WAITING_BYTES = 16, 32_000_000
_POLL_S = 0.1
_LOOK_AGAIN_S = 5.0
_READER_S, _READERS_S = 0.5, 3.0  # after a reader's request; in all for an exam, if readers never pause


@dataclass(frozen=True)
class Announcement:
    """Mark of an exam whose derived files this process makes; its lock ends with the process."""

    exam_id: str
    materials: Mapping[str, Material]
    lock: Held

    @property
    def size(self) -> int:
        """Memory of the materials in bytes."""
        inputs = [material.seen for material in self.materials.values()]
        return sum(one.grey.nbytes + one.breast_mask.nbytes for one in inputs)

    def withdraw(self) -> None:
        """Remove the mark."""
        marker(files.root(), self.exam_id).unlink(missing_ok=True)
        self.lock.release()

    def make_later(self, predictor: Predictor) -> None:
        """Make the files on this process's thread, once the exam is stored; leave it if too many wait."""
        of_app().add(self, predictor)


def announce(exam_id: str, materials: Mapping[str, Material]) -> Announcement:
    """Mark an exam before it is stored.

    Parameters
    ----------
    materials : by image id
    """
    mark = marker(files.root(), exam_id)
    while (lock := shared_locks.of_app().hold(marker_name(exam_id))) is None:
        time.sleep(_POLL_S)  # that of a process that was killed while it stored this exam ends soon
    announced = Announcement(exam_id, materials, lock)
    uncompressed = [image_id for image_id, material in materials.items() if material.uncompressed]
    try:
        mark.write_text(json.dumps(uncompressed))  # in place: it is locked
    except OSError:
        announced.withdraw()
        raise
    return announced


class DerivationQueue:
    """Exams of a process whose derived files are to be made, and the thread that makes them.

    The interpreter waits for the thread before it ends.
    """

    def __init__(self, app: Flask, waiting_max: int = WAITING_MAX) -> None:
        self._app = app
        self._waiting: queue.Queue[tuple[Announcement, Predictor]] = queue.Queue(waiting_max)
        self._thread = RequestThreads(1, "derived")
        self._stopping = threading.Event()
        self._asked = 0.0

    def let_reader_first(self) -> None:
        """Note that a reader asks for something of an exam."""
        self._asked = time.monotonic()

    def add(self, announced: Announcement, predictor: Predictor) -> None:
        """Let an exam wait for the thread; leave it if too many wait, or together take too much memory."""
        with self._waiting.mutex:
            others = sum(one.size for one, _ in self._waiting.queue)
        try:
            if others and others + announced.size > _WAITING_BYTES:
                raise queue.Full
            self._waiting.put_nowait((announced, predictor))
        except queue.Full:
            announced.lock.release()
        else:
            self._thread.submit(self._make_next)

    def start(self) -> None:
        """Let the thread make the files of exams that are left."""
        self._thread.submit(self.finish_left)

    def stop(self) -> None:
        """Finish the exam that is worked on, and leave the others."""
        self._stopping.set()
        self._thread.shutdown(cancel_futures=True)

    def finish_left(self) -> None:
        """Make the files of the exams that are left; return early as soon as an exam waits, or the disk is full."""
        request_id.set("")
        while self._finish_unheld() and shared_locks.of(self._app).outlast_processes:
            until = time.monotonic() + _LOOK_AGAIN_S  # the locks of a killed process end by themselves
            while time.monotonic() < until:
                if self._stopping.wait(_POLL_S) or not self._waiting.empty():
                    return

    def _finish_unheld(self) -> bool:
        """Make the files of the exams that are left by now; return True if some others have been passed over."""
        with self._app.app_context():
            root, compute = files.root(), _compute()
        passed_over = False
        for mark, exam_id in derived_files.markers(root):
            if not self._has_time(compute):
                return False
            with self._app.app_context():
                held, name = shared_locks.of_app(), marker_name(exam_id)
                if held.is_held(name) or (lock := held.hold(name)) is None:
                    passed_over = True  # a process makes them
                elif not _work_off(mark, exam_id, lock, partial(_finish, exam_id, mark)):
                    return False
        return passed_over

    def _has_time(self, compute: ComputePool) -> bool:
        """Wait until uploads leave a process spare; return False as soon as an exam waits or the process ends."""
        while self._waiting.empty() and not self._stopping.is_set():
            if compute.has_spare():
                return True
            self._stopping.wait(_POLL_S)
        return False

    def _patience(self) -> Callable[[], None]:
        """Return a function that waits until readers have opened their exams; all its calls together not for long."""
        left = _READERS_S

        def wait() -> None:
            nonlocal left
            while (pause := min(left, self._asked + _READER_S - time.monotonic())) > 0:
                left -= pause
                if self._stopping.wait(pause):
                    return

        return wait

    def _make_next(self) -> None:
        """Make the files of the exam that waits longest, then of those that are left."""
        announced, predictor = self._waiting.get_nowait()
        exam_id, materials = announced.exam_id, announced.materials
        with self._app.app_context():
            root, compute = files.root(), _compute()
            make = partial(
                derived_files.make_all, root / exam_id, materials, predictor, compute, self._patience()
            )
            _work_off(
                marker(root, exam_id), exam_id, announced.lock, partial(_make_and_keep, make, announced)
            )
            file_cache.trim()
        self.finish_left()


def of_app() -> DerivationQueue:
    """Return the current application's queue."""
    waiting: DerivationQueue = current_app.extensions["birads_derivation"]
    return waiting


def let_reader_first() -> None:
    """Let what is made later wait, if the request is for something of an exam."""
    if request.method == "GET" and "exam_id" in (request.view_args or {}):
        of_app().let_reader_first()


def _make_and_keep(make: Callable[[], None], announced: Announcement) -> None:
    """Make an exam's files, and store them where other machines find them."""
    make()
    compressed = any(material.uncompressed for material in announced.materials.values())
    files.keep(announced.exam_id, announced.materials, (DERIVED, *([ORIGINALS] if compressed else [])))


def _finish(exam_id: str, mark: Path) -> None:
    """Make the files of an exam that was left; nothing if the process ended before the exam was stored."""
    exam = session().get(Exam, exam_id)
    images = [] if exam is None else exam.images
    uncompressed = json.loads(mark.read_text() or "[]")
    for image in images:
        derived_files.restore(image, Urgency.REQUEST)  # once begun, as a reader may wait for it
    files.drop_previews(files.root() / exam_id)
    for image in images:
        if image.id in uncompressed:
            _compute().run(derived_files.compress, files.path(image, "original").parent)
    if images:
        files.keep(exam_id, [image.id for image in images], (DERIVED, *([ORIGINALS] if uncompressed else [])))


def _work_off(mark: Path, exam_id: str, lock: Held, make: Callable[[], None]) -> bool:
    """Make an exam's files and remove its mark, also after a failure; False if it stays, because there is no space."""
    start = time.perf_counter()
    try:
        make()
        instruments.observe_stage("derive", time.perf_counter() - start)
    except (FileNotFoundError, NotFound):
        log.info("Exam %s was deleted while its pictures were made", exam_id)
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in disk_space.FULL | disk_space.READ_ONLY
        if full or isinstance(error, FilesUnavailable):
            log.error("The pictures of exam %s are made once there is space", exam_id)
            lock.release()
            return False
        log.error("The pictures of exam %s are made when they are asked for:\n%s", exam_id, where(error))
    mark.unlink(missing_ok=True)
    lock.release()
    return True


def _compute() -> ComputePool:
    pool: ComputePool = current_app.extensions["birads_compute"]
    return pool
