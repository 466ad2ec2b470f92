"""A worker killed at random moments of an upload leaves no trace of the patient and no half-stored exam."""

import http.client
import os
import random
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bench import worker
from tests.support.phi_markers import dicom_with_phi, phi_in

pytestmark = pytest.mark.slow

MODELS = Path(__file__).resolve().parents[2] / "models"
KILLS, LATEST_S = 10, 1.0


def traces(instance: Path) -> list[str]:
    """Return the files of an instance folder that contain a marker, as they are at this moment."""
    found = []
    for folder, _, names in os.walk(instance):  # which passes over folders that vanish meanwhile
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            with suppress(FileNotFoundError):
                content = path.read_bytes() if path.is_file() else b""
                if phi_in(content) or phi_in(path.name.encode()):
                    found.append(path.name)
    return found


def post(served: worker.Served, body: bytes, boundary: str) -> None:
    """Upload; the connection may break, and the new worker may refuse it."""
    with suppress(OSError, http.client.HTTPException, RuntimeError):
        served.post(body, boundary)


def test_kills_at_random_moments_leave_no_trace_of_the_patient() -> None:
    boundary, moments = secrets.token_hex(8), random.Random(7)
    sent = [
        (f"Doe-Jane-{number}.dcm", dicom_with_phi(number, StudyInstanceUID="1.2.826.0.1.3680043.99.7"))
        for number in range(4)
    ]
    body = worker.multipart(sent, boundary)
    with worker.serving(MODELS) as served:
        for _ in range(KILLS):
            upload = threading.Thread(target=post, args=(served, body, boundary))
            upload.start()
            end = time.monotonic() + moments.uniform(0, LATEST_S)
            while time.monotonic() < end:
                assert traces(served.instance) == []
            served.kill()
            upload.join(60)
            assert traces(served.instance) == []
        stored = served.post(body, boundary)
        assert len(stored["images"]) == 4
        served.settle()
        assert traces(served.instance) == []
        leftovers = [path.name for path in (served.instance / "images").iterdir() if path.name[0] == "."]
        assert not [name for name in leftovers if name.startswith(".deriving-")]
