"""A backup taken while exams are uploaded restores to an installation that passes ``flask fsck``."""

import itertools
import secrets
import threading
import time
from pathlib import Path

import pytest

from bench import worker
from birads_app import create_app
from birads_app.records import exams
from tests.support.factories import breast, dicom, dicom_bytes
from tests.support.processes import flask

pytestmark = pytest.mark.slow

CLIENTS, FIRST = 2, 4


class Uploads:
    """Clients that upload one exam after another until they are stopped.

    acknowledged : ids of the exams that the server has answered with
    """

    def __init__(self, served: worker.Served) -> None:
        self.acknowledged: list[str] = []
        self._served, self._numbers, self._stopped = served, itertools.count(), threading.Event()
        self._threads = [threading.Thread(target=self._upload) for _ in range(CLIENTS)]

    def __enter__(self) -> "Uploads":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.acknowledged) < count:
            assert time.monotonic() < deadline, "no exam is stored"
            time.sleep(0.05)

    def _upload(self) -> None:
        while not self._stopped.is_set():
            boundary, number = secrets.token_hex(8), next(self._numbers)
            made = dicom(breast(640, 512, seed=number))
            made.PatientID, made.StudyInstanceUID = f"ID-{number}", f"1.2.{number}"
            body = worker.multipart([("left.dcm", dicom_bytes(made))], boundary)
            self.acknowledged.append(self._served.post(body, boundary)["id"])


def test_every_exam_acknowledged_before_the_backup_is_restored_whole(
    tiny_models: Path, tmp_path: Path
) -> None:
    archive, keys, restored = tmp_path / "backup.tar", tmp_path / "backup.keys", tmp_path / "restored"
    with worker.serving(tiny_models) as served:
        with Uploads(served) as uploads:
            uploads.wait_for(FIRST)
            before = list(uploads.acknowledged)
            made = flask(
                served.instance, "backup", str(archive), "--keys", str(keys), BIRADS_MODELS=str(tiny_models)
            )
            assert made.returncode == 0, made.stderr
            during = len(uploads.acknowledged) - len(before)
            live = create_app({"BIRADS_INSTANCE": str(served.instance), "BIRADS_MODELS": str(tiny_models)})
            checked = live.test_cli_runner().invoke(args=["fsck"])
            assert checked.exit_code == 0, checked.output
        served.settle()
    assert during > 0, "no exam was stored during the backup"
    app = create_app({"BIRADS_INSTANCE": str(restored), "BIRADS_MODELS": str(tmp_path / "models")})
    done = app.test_cli_runner().invoke(args=["restore", str(archive), "--keys", str(keys)])
    assert done.exit_code == 0, done.output
    checked = app.test_cli_runner().invoke(args=["fsck"])
    assert checked.exit_code == 0, checked.output
    assert ": 0 problems." in checked.output and "No checksum" not in checked.output
    with app.app_context():
        assert set(before) <= exams.all_ids()
