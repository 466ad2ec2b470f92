"""A real Orthanc with its DICOMweb plug-in on free ports."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.dicom_tools import missing, tool

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_SECONDS = 180
USER, PASSWORD = "reader", "correct horse"


@dataclass(frozen=True)
class Orthanc:
    """A running server: its ports, and its application entity title."""

    dicom_port: int
    http_port: int
    title: str = "ORTHANC"

    @property
    def dicom_web(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def as_destination(self) -> dict[str, str]:
        """Settings that send results here by C-STORE."""
        return {
            "BIRADS_PACS_HOST": "127.0.0.1",
            "BIRADS_PACS_PORT": str(self.dicom_port),
            "BIRADS_PACS_AE_TITLE": self.title,
        }

    def get(self, path: str) -> object:
        """Read from the REST interface."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}")
        key = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {key}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def instances(self, study: str) -> dict[str, dict[str, str]]:
        """The main tags of all instances of a study, with its series', by SOP Instance UID."""
        found = {}
        for series in self.get("/series?expand"):
            parent = self.get(f"/studies/{series['ParentStudy']}")["MainDicomTags"]
            if parent["StudyInstanceUID"] == study:
                for name in series["Instances"]:
                    tags = self.get(f"/instances/{name}")["MainDicomTags"]
                    found[tags["SOPInstanceUID"]] = tags | series["MainDicomTags"]
        return found


def is_here() -> bool:
    """True where Orthanc, its plug-in and DCMTK are installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    return PLUGIN.exists() and all(shutil.which(name, path=path) for name in ("Orthanc", "storescu"))


@contextlib.contextmanager
def serve(
    folder: Path,
    dicom_port: int | None = None,
    http_port: int | None = None,
    receiver_port: int | None = None,
) -> Iterator[Orthanc]:
    """Run Orthanc with its store inside ``folder``; killed on leaving.

    With the folder and ports of an earlier run it is the same server, started again. It knows the product's receiver at
    ``receiver_port``, if given, which may then query it and let it send.
    """
    program = tool("Orthanc")
    if not PLUGIN.exists():
        missing("there is no DICOMweb plug-in here: apt-get install orthanc-dicomweb")
    server = Orthanc(dicom_port or free_port(), http_port or free_port())
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(_configuration(server, folder, receiver_port)))
    with (folder / "orthanc.log").open("a") as log:
        process = subprocess.Popen([program, str(configuration)], stdout=log, stderr=log)
    try:
        _wait(server, process, folder)
        yield server
    finally:
        process.kill()  # what it acknowledged is in its store; going down in order takes it seconds
        process.wait()


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _configuration(server: Orthanc, folder: Path, receiver_port: int | None) -> dict[str, object]:
    return {
        "DicomModalities": {"receiver": ["BIRADS", "127.0.0.1", receiver_port]} if receiver_port else {},
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "Plugins": [str(PLUGIN)],
        "DicomAet": server.title,
        "DicomPort": server.dicom_port,
        "DicomCheckCalledAet": True,
        "HttpPort": server.http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomWeb": {"Enable": True},
    }


def _wait(server: Orthanc, process: subprocess.Popen, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            server.get("/system")
            socket.create_connection(("127.0.0.1", server.dicom_port), timeout=10).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"Orthanc does not answer:\n{(folder / 'orthanc.log').read_text()}")
