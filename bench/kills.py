"""Processes killed at random moments of uploads, transfers and trainings: what was acknowledged is whole, and once."""

import argparse
import itertools
import os
import random
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pydicom
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

from bench import clients, worker
from bench.interrupted_training import Trainer
from bench.measurement import Measurement
from bench.services import Installation
from tests.support import dicom_files
from tests.support.factories import breast
from tests.support.orthanc import free_port
from tests.support.receiver import Receiver, wait_until

Site = worker.Served | Installation
CLIENTS, STUDIES, VIEWS = 2, 2, ("CC", "MLO")
# What is killed; a training begins with some seconds of imports, and would come no further if killed as often.
_TARGETS = {"server": 3, "helper": 3, "receiver": 3, "training": 1}
PAUSE_S = 2.0  # at most, between two kills
_BETWEEN_S = 1.0  # between two studies
IDLE_S = 1800.0  # a study whose reading was killed often is read again after growing pauses


class Sender(threading.Thread):
    """Modality that sends one study after another, and an object again until it is acknowledged.

    ports : of the receivers, of which each attempt takes another one
    acknowledged : SOP Instance UIDs
    """

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__()
        self.acknowledged: list[str] = []
        self.ends = threading.Event()
        self._ports = itertools.cycle(ports)

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
            association = entity.associate("127.0.0.1", next(self._ports), ae_title="BIRADS")
            if association.is_established:
                status = association.send_c_store(image)
                association.release()
                return "Status" in status and status.Status == 0
        return False


class Load:
    """Uploads of several studies, read before and after the answer, transfers and trainings, all at the same time.

    site : whose web servers take turns
    ports : of the receivers
    uploads : those read before the answer
    jobs : those read after it
    """

    def __init__(self, site: Site, ports: Sequence[int], trainer: Trainer | None = None) -> None:
        self.uploads, self.jobs = clients.Uploads(), list[str]()
        self.sender, self._trainer = Sender(ports), trainer
        self._site, self._ended, self._boundary = site, threading.Event(), secrets.token_hex(16)
        films = [
            (f"{study}{view}.dcm", _film(view, StudyInstanceUID=f"1.2.3.{study}"))
            for study in range(STUDIES)
            for view in VIEWS
        ]
        self._body = worker.multipart(films, self._boundary)
        uploading = [threading.Thread(target=self._upload) for _ in range(CLIENTS)]
        self._threads = [self.sender, *uploading, threading.Thread(target=self._upload_later)]
        self._threads += [] if trainer is None else [trainer]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Finish what has begun."""
        for event in (self._ended, self.sender.ends):
            event.set()
        if self._trainer is not None:
            self._trainer.ends.set()
        for thread in self._threads:
            thread.join()

    def _upload(self) -> None:
        while not self._ended.is_set():
            sent = self._site.ports, self._site.first.token, self._body, self._boundary
            clients.upload(*sent, self.uploads, float("inf"))

    def _upload_later(self) -> None:
        while not self._ended.wait(_BETWEEN_S):
            sent = self._site.ports, self._site.first.token, self._body, self._boundary
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
        receiver = receiver_in(served.instance.parent, BIRADS_MODELS=str(models))
        receiving, trainer = receiver.start(), Trainer(served, models)
        load = Load(served, [receiver.port], trainer)
        load.start()
        for _ in range(options.kills):
            time.sleep(generator.uniform(0, PAUSE_S))
            (target,) = generator.choices(list(_TARGETS), list(_TARGETS.values()))
            killed[target] += 1
            if target == "server":
                served.kill()
            elif target == "helper":
                with suppress(IndexError, ProcessLookupError):
                    os.kill(generator.choice(served.helpers()), signal.SIGKILL)
            elif target == "training":
                trainer.kill()
            else:
                receiving = restarted(receiver, receiving)
        load.end()
        wait_until(receiver.idle, IDLE_S)
        receiving.send_signal(signal.SIGTERM)
        receiving.wait(60)
        wait_until(lambda: all(served.jobs()[job][0] in ("done", "failed") for job in load.jobs), IDLE_S)
        served.kill()  # the next start cleans up
        served.settle()
        report(killed, load)
        yield from judged(served, load)
        leftovers = [
            path.name for path in (served.instance / "images").iterdir() if path.name.startswith(".")
        ]
        yield Measurement("files left behind", len(leftovers), None, len(leftovers), most=0)
        yield from _trained(served, trainer)


def receiver_in(place: Path, **settings: str) -> Receiver:
    """Return a receiver with the instance folder of a place, and some more settings."""
    port = free_port()
    defaults = {
        "BIRADS_DEIDENTIFY": "0",
        "BIRADS_DICOM_PORT": str(port),
        "BIRADS_DICOM_ALLOWED_AETS": "MODALITY@127.0.0.1",
        "BIRADS_DICOM_STABLE_S": "1",
        "BIRADS_COMPUTE_PROCESSES": "1",
    }
    return Receiver(place, port, defaults | settings)


def report(killed: Counter[str], load: Load) -> None:
    """Print what was killed, and what clients were answered."""
    answers = dict(sorted(load.uploads.statuses.items()))
    print(
        f"killed: {dict(sorted(killed.items()))}; answers: {answers}; uploads read later: {len(load.jobs)}",
        flush=True,
    )


def judged(site: Site, load: Load) -> Iterator[Measurement]:
    """Compare the exams with what was acknowledged."""
    served, sent = site.first, set(load.sender.acknowledged)
    jobs, images = served.jobs(), served.rows("SELECT exam_id, sop_uid FROM images")
    received = Counter(row[1] for row in images if row[1] in sent)
    by_upload = Counter(row[0] for row in images if row[1] not in sent)
    acknowledged = {*load.uploads.acknowledged, *(exam for job in load.jobs for exam in jobs[job][1])}
    unread = sum(jobs[job][0] != "done" for job in load.jobs)
    lost = len(acknowledged - set(by_upload)) + len(sent - set(received))
    doubled = len(set(by_upload) - acknowledged) + sum(count > 1 for count in received.values())
    half = sum(count != len(VIEWS) for count in by_upload.values())
    try:
        served.flask("fsck")
        faults = 0
    except RuntimeError as error:
        print(error, flush=True)
        faults = 1
    count = len(acknowledged) + len(sent)
    yield Measurement("acknowledged exams and received images", count, None, count, least=1)
    for what, number in (
        ("  of them lost", lost),
        ("  doubled, or that nobody was told of", doubled),
        ("  exams with some of their images", half),
        ("  uploads accepted, but not read later", unread),
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


def restarted(receiver: Receiver, receiving: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
    """Kill a receiver and start it again."""
    receiving.kill()
    receiving.wait()
    return receiver.start()


def _film(view: str, **elements: str) -> bytes:
    return dicom_files.mammogram(breast(960, 768, len(view)), ViewPosition=view, **elements)
