"""Processes killed at random moments of uploads and transfers: every acknowledged exam is whole, none is doubled."""

import argparse
import os
import random
import secrets
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress

import pydicom
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

from bench import clients, worker
from bench.measurement import Measurement
from birads_app.records.database import FILE_NAME
from tests.support import dicom_files
from tests.support.factories import breast
from tests.support.orthanc import free_port
from tests.support.receiver import Receiver, wait_until

CLIENTS, STUDIES, VIEWS = 2, 2, ("CC", "MLO")
_PAUSE_S = 2.0  # at most, between two kills
_BETWEEN_S = 1.0  # between two studies


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


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Kill the server, its helpers and the receiver in turns that are drawn from a seed."""
    boundary, generator = secrets.token_hex(16), random.Random(options.seed)
    films = [
        (f"{study}{view}.dcm", _film(view, StudyInstanceUID=f"1.2.3.{study}"))
        for study in range(STUDIES)
        for view in VIEWS
    ]
    body = worker.multipart(films, boundary)
    with worker.serving(options.models, BIRADS_DEIDENTIFY="0") as served:
        port = free_port()
        settings = {
            "BIRADS_MODELS": str(options.models.absolute()),
            "BIRADS_DEIDENTIFY": "0",
            "BIRADS_DICOM_PORT": str(port),
            "BIRADS_DICOM_ALLOWED_AETS": "MODALITY@127.0.0.1",
            "BIRADS_DICOM_STABLE_S": "1",
            "BIRADS_COMPUTE_PROCESSES": "1",
        }
        receiver = Receiver(served.instance.parent, port, settings)
        receiving = receiver.start()
        sender, found, ended = Sender(port), clients.Uploads(), threading.Event()

        def upload() -> None:
            while not ended.is_set():
                clients.upload(served.port, served.token, body, boundary, found, float("inf"))

        threads = [sender, *(threading.Thread(target=upload) for _ in range(CLIENTS))]
        for thread in threads:
            thread.start()
        killed: Counter[str] = Counter()
        for _ in range(options.kills):
            time.sleep(generator.uniform(0, _PAUSE_S))
            target = generator.choice(("server", "helper", "receiver"))
            killed[target] += 1
            if target == "server":
                served.kill()
            elif target == "helper":
                with suppress(IndexError, ProcessLookupError):
                    os.kill(generator.choice(served.helpers()), signal.SIGKILL)
            else:
                receiving = _restarted(receiver, receiving)
        ended.set()
        sender.ends.set()
        for thread in threads:
            thread.join()
        wait_until(receiver.idle)
        receiving.send_signal(signal.SIGTERM)
        receiving.wait(60)
        served.kill()  # the next start cleans up
        served.settle()
        print(
            f"killed: {dict(sorted(killed.items()))}; answers: {dict(sorted(found.statuses.items()))}",
            flush=True,
        )
        yield from _judged(served, found, sender)


def _judged(served: worker.Served, found: clients.Uploads, sender: Sender) -> Iterator[Measurement]:
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
    acknowledged = set(found.acknowledged)
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
        ("files left behind", len(leftovers)),
        ("fsck finds faults", faults),
    ):
        yield Measurement(what, number, None, number, most=0)


def _restarted(receiver: Receiver, receiving: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
    receiving.kill()
    receiving.wait()
    return receiver.start()


def _film(view: str, **elements: str) -> bytes:
    return dicom_files.mammogram(breast(960, 768, len(view)), ViewPosition=view, **elements)
