"""Processes killed at random moments of uploads, transfers and trainings: what was acknowledged is whole, and once."""

import argparse
import os
import random
import secrets
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pydicom
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

from bench import clients, worker
from bench.interrupted_training import Trainer
from bench.measurement import Measurement
from birads_app.records.database import FILE_NAME
from tests.support import dicom_files
from tests.support.factories import breast
from tests.support.orthanc import free_port
from tests.support.receiver import Receiver, wait_until

CLIENTS, STUDIES, VIEWS = 2, 2, ("CC", "MLO")
# What is killed; a training begins with some seconds of imports, and would come no further if killed as often.
_TARGETS = {"server": 3, "helper": 3, "receiver": 3, "training": 1}
_PAUSE_S = 2.0  # at most, between two kills
_BETWEEN_S = 1.0  # between two studies
_IDLE_S = 1800.0  # a study whose reading was killed often is read again after growing pauses


class Sender(threading.Thread):
    """Modality that sends one study after another, and an object again until it is acknowledged.

    acknowledged : SOP Instance UIDs
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self.acknowledged: list[str] = []
        self.ends = threading.Event()
        self._port = port

    def run(self) -> None:
        """Send until told to end; the last study is sent whole."""
        while not self.ends.is_set():
            study = generate_uid()
            for view in VIEWS:
                data = _film(view, StudyInstanceUID=study, SOPInstanceUID=generate_uid())
                image = pydicom.dcmread(DicomBytesIO(data))
                while not self._sent(image):
                    time.sleep(0.2)
                self.acknowledged.append(image.SOPInstanceUID)
            self.ends.wait(_BETWEEN_S)

    def _sent(self, image: pydicom.Dataset) -> bool:
        entity = AE("MODALITY")
        entity.add_requested_context(image.SOPClassUID, ExplicitVRLittleEndian)
        with suppress(Exception):  # of the library, when the other side is killed
            association = entity.associate("127.0.0.1", self._port, ae_title="BIRADS")
            if association.is_established:
                status = association.send_c_store(image)
                association.release()
                return "Status" in status and status.Status == 0
        return False


class Load:
    """Uploads of several studies, read before and after the answer, transfers and trainings, all at the same time.

    uploads : those read before the answer
    jobs : those read after it
    """

    def __init__(self, served: worker.Served, models: Path, port: int) -> None:
        self.uploads, self.jobs = clients.Uploads(), list[str]()
        self.sender, self.trainer = Sender(port), Trainer(served, models)
        self._served, self._ended, self._boundary = served, threading.Event(), secrets.token_hex(16)
        films = [
            (f"{study}{view}.dcm", _film(view, StudyInstanceUID=f"1.2.3.{study}"))
            for study in range(STUDIES)
            for view in VIEWS
        ]
        self._body = worker.multipart(films, self._boundary)
        uploading = [threading.Thread(target=self._upload) for _ in range(CLIENTS)]
        self._threads = [self.sender, self.trainer, *uploading, threading.Thread(target=self._upload_later)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Finish what has begun."""
        for event in (self._ended, self.sender.ends, self.trainer.ends):
            event.set()
        for thread in self._threads:
            thread.join()

    def _upload(self) -> None:
        while not self._ended.is_set():
            sent = self._served.port, self._served.token, self._body, self._boundary
            clients.upload(*sent, self.uploads, float("inf"))

    def _upload_later(self) -> None:
        while not self._ended.wait(_BETWEEN_S):
            sent = self._served.port, self._served.token, self._body, self._boundary
            self.jobs.append(clients.upload_later(*sent))


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Kill the server, its helpers, the receiver and trainings in turns that are drawn from a seed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        models = Path(folder, "models")
        shutil.copytree(options.models, models)
        yield from _measured(options, models)


def _measured(options: argparse.Namespace, models: Path) -> Iterator[Measurement]:
    generator, killed = random.Random(options.seed), Counter[str]()
    with worker.serving(models, BIRADS_DEIDENTIFY="0") as served:
        receiver = _receiver(served, models)
        receiving = receiver.start()
        load = Load(served, models, receiver.port)
        load.start()
        for _ in range(options.kills):
            time.sleep(generator.uniform(0, _PAUSE_S))
            (target,) = generator.choices(list(_TARGETS), list(_TARGETS.values()))
            killed[target] += 1
            if target == "server":
                served.kill()
            elif target == "helper":
                with suppress(IndexError, ProcessLookupError):
                    os.kill(generator.choice(served.helpers()), signal.SIGKILL)
            elif target == "training":
                load.trainer.kill()
            else:
                receiving = _restarted(receiver, receiving)
        load.end()
        wait_until(receiver.idle, _IDLE_S)
        receiving.send_signal(signal.SIGTERM)
        receiving.wait(60)
        wait_until(lambda: all(served.jobs()[job][0] in ("done", "failed") for job in load.jobs), _IDLE_S)
        served.kill()  # the next start cleans up
        served.settle()
        print(
            f"killed: {dict(sorted(killed.items()))}; answers: {dict(sorted(load.uploads.statuses.items()))}; "
            f"uploads read later: {len(load.jobs)}",
            flush=True,
        )
        yield from _judged(served, load)
        yield from _trained(served, load.trainer)


def _receiver(served: worker.Served, models: Path) -> Receiver:
    """Return a receiver with the server's instance folder."""
    port = free_port()
    settings = {
        "BIRADS_MODELS": str(models),
        "BIRADS_DEIDENTIFY": "0",
        "BIRADS_DICOM_PORT": str(port),
        "BIRADS_DICOM_ALLOWED_AETS": "MODALITY@127.0.0.1",
        "BIRADS_DICOM_STABLE_S": "1",
        "BIRADS_COMPUTE_PROCESSES": "1",
    }
    return Receiver(served.instance.parent, port, settings)


def _judged(served: worker.Served, load: Load) -> Iterator[Measurement]:
    """Compare the exams with what was acknowledged."""
    sender, jobs = load.sender, served.jobs()
    with closing(sqlite3.connect(served.instance / FILE_NAME)) as database:
        by_upload = {
            row[0]: row[1]
            for row in database.execute(
                "SELECT exam_id, count(*) FROM images WHERE sop_uid NOT IN "
                f"({','.join('?' * len(sender.acknowledged))}) GROUP BY exam_id",
                sender.acknowledged,
            )
        }
        received = Counter(row[0] for row in database.execute("SELECT sop_uid FROM images"))
    acknowledged = {*load.uploads.acknowledged, *(exam for job in load.jobs for exam in jobs[job][1])}
    unread = sum(jobs[job][0] != "done" for job in load.jobs)
    lost = len(acknowledged - set(by_upload)) + sum(not received[uid] for uid in sender.acknowledged)
    doubled = len(set(by_upload) - acknowledged) + sum(received[uid] > 1 for uid in sender.acknowledged)
    half = sum(count != len(VIEWS) for count in by_upload.values())
    leftovers = [path.name for path in (served.instance / "images").iterdir() if path.name.startswith(".")]
    try:
        served.flask("fsck")
        faults = 0
    except RuntimeError as error:
        print(error, flush=True)
        faults = 1
    count = len(acknowledged) + len(sender.acknowledged)
    yield Measurement("acknowledged exams and received images", count, None, count, least=1)
    for what, number in (
        ("  of them lost", lost),
        ("  doubled, or that nobody was told of", doubled),
        ("  exams with some of their images", half),
        ("  uploads accepted, but not read later", unread),
        ("files left behind", len(leftovers)),
        ("fsck finds faults", faults),
    ):
        yield Measurement(what, number, None, number, most=0)


def _trained(served: worker.Served, trainer: Trainer) -> Iterator[Measurement]:
    """Judge the trainings: each is whole, and nothing else remains."""
    damaged = 0
    for name in trainer.written:
        try:
            served.flask("models", "verify", name)
        except RuntimeError as error:
            print(error, flush=True)
            damaged += 1
    count, left = len(trainer.written), len(trainer.leftovers())
    yield Measurement("models whose training was killed and resumed", count, None, count, least=1)
    for what, number in (
        ("  of them damaged", damaged),
        ("  trainings that failed without being killed", trainer.failed),
        ("  files left behind", left),
    ):
        yield Measurement(what, number, None, number, most=0)


def _restarted(receiver: Receiver, receiving: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
    receiving.kill()
    receiving.wait()
    return receiver.start()


def _film(view: str, **elements: str) -> bytes:
    return dicom_files.mammogram(breast(960, 768, len(view)), ViewPosition=view, **elements)
