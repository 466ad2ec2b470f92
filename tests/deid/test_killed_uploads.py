"""A worker killed at random moments of an upload leaves no trace of the patient and no half-stored exam."""

import http.client
import random
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bench import worker
from tests.support.phi_markers import DATE, UID, WORD, dicom_with_phi, phi_below, phi_in

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = str(ROOT / "tests" / "support" / "preloaded_server.py")
KILLS, LATEST_S = 10, 0.8


def traces(served: worker.Served) -> list[str]:
    """Return the markers in the instance folder and in the log of all processes, as they are at this moment."""
    return phi_below(served.instance) + phi_in(served.log.read_bytes())


def post(served: worker.Served, body: bytes, boundary: str) -> None:
    """Upload; the connection may break, and the new worker may refuse it."""
    with suppress(OSError, http.client.HTTPException, RuntimeError):
        served.post(body, boundary)


def test_kills_at_random_moments_leave_no_trace_of_the_patient(tiny_models: Path) -> None:
    boundary, moments = secrets.token_hex(8), random.Random(7)
    sent = [
        (f"{WORD}-{DATE}-{number}.dcm", dicom_with_phi(number, StudyInstanceUID=f"{UID}.7"))
        for number in range(4)
    ]
    body = worker.multipart(sent, boundary)
    with worker.serving(tiny_models, CONFIGURATION, BIRADS_LOG_LEVEL="DEBUG") as served:
        for _ in range(KILLS):
            upload = threading.Thread(target=post, args=(served, body, boundary))
            upload.start()
            end = time.monotonic() + moments.uniform(0, LATEST_S)
            while time.monotonic() < end:
                assert traces(served) == []
            served.kill()
            upload.join(60)
            assert traces(served) == []
        stored = served.post(body, boundary)
        assert len(stored["images"]) == 4
        served.settle()
        assert traces(served) == []
        assert (
            served.log.read_text().count("POST /api/v1/predictions") and "is ready" in served.log.read_text()
        )
        leftovers = [path.name for path in (served.instance / "images").iterdir() if path.name[0] == "."]
        assert not [name for name in leftovers if name.startswith(".deriving-")]
