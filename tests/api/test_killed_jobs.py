"""A server that is killed with uploads in the queue: each becomes its exam once, and nothing is left behind."""

import http.client
import json
import random
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench import worker
from tests.support.phi_markers import dicom_with_phi

UPLOADS, KILLS, LATEST_S, PATIENCE_S = 3, 3, 1.5, 120


def ask(
    served: worker.Served, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    given = {"Authorization": f"Bearer {served.token}", **headers}
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in given.items()})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def upload(served: worker.Served, *sent: tuple[str, bytes]) -> str:
    """Send files to be read later; return the address of the job."""
    boundary = secrets.token_hex(8)
    status, job = ask(
        served,
        "POST",
        "/api/v1/predictions",
        worker.multipart(sent, boundary),
        Prefer="respond-async",
        Content_Type=f"multipart/form-data; boundary={boundary}",
    )
    assert status == 202
    return str(job["url"])


def ended(served: worker.Served, address: str) -> dict[str, Any]:
    """Wait until a job is done or has failed."""
    job: dict[str, Any] = {}
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            job = ask(served, "GET", address)[1]
            if job["state"] in ("done", "failed"):
                return job
        time.sleep(0.2)
    raise AssertionError(job)


@pytest.mark.slow
def test_every_upload_becomes_its_exam_once_whatever_is_killed(tiny_models: Path) -> None:
    moments = random.Random(3)
    with worker.serving(tiny_models) as served:
        addresses = [
            upload(
                served,
                *(
                    (
                        f"{view}.dcm",
                        dicom_with_phi(10 * number + view, StudyInstanceUID=f"1.2.826.0.1.{number}"),
                    )
                    for view in range(2)
                ),
            )
            for number in range(UPLOADS)
        ]
        refused = upload(served, ("a.txt", b"no image"))
        for _ in range(KILLS):
            time.sleep(moments.uniform(0, LATEST_S))
            served.kill()
        jobs = [ended(served, address) for address in addresses]
        assert [job["state"] for job in jobs] == ["done"] * UPLOADS
        assert [len(exam["images"]) for job in jobs for exam in job["exams"]] == [2] * UPLOADS
        ids = [exam_id for job in jobs for exam_id in job["exam_ids"]]
        assert len(ids) == UPLOADS and set(ids) == served.exams()
        assert ended(served, refused)["problem"]["status"] == 415
        files = {path.name for path in (served.instance / "uploads").iterdir() if path.suffix != ".lock"}
        assert len(files) == 1  # the reasons for the refusal
        served.settle()
        assert max(job["attempts"] for job in jobs) > 1
