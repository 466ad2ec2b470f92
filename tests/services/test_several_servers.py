"""Two web servers, two compute processes and two receivers, each with its own folder: no exam lost or doubled."""

import http.client
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest

from bench import clients, services, worker
from bench.services import Installation
from tests.support.factories import mammogram_dicom

pytestmark = pytest.mark.slow
KILLS, LATEST_S, CLIENTS, EXAMS = 4, 3.0, 2, 3


def test_no_exam_is_lost_or_doubled_whatever_is_killed(tiny_models: Path, tmp_path: Path) -> None:
    moments, boundary = random.Random(7), secrets.token_hex(8)
    found = clients.Uploads()
    with services.running(tiny_models, tmp_path) as site:

        def upload(number: int) -> None:
            for exam in range(EXAMS):
                body = worker.multipart([("a.dcm", mammogram_dicom(EXAMS * number + exam))], boundary)
                clients.upload(site.ports, site.first.token, body, boundary, found, float("inf"))

        threads = [threading.Thread(target=upload, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for kill in range(KILLS):
            time.sleep(moments.uniform(0, LATEST_S))
            if kill % 2:
                os.kill(site.web[kill // 2 % 2].process, signal.SIGKILL)
            else:
                site.computing[kill // 2 % 2].kill()
        for thread in threads:
            thread.join()
        deadline = time.monotonic() + 60
        while any(state in ("waiting", "running") for state, _ in site.first.jobs().values()):
            assert time.monotonic() < deadline  # jobs of clients that were cut off
            time.sleep(0.2)
        assert len(found.acknowledged) == len(set(found.acknowledged)) == CLIENTS * EXAMS
        assert set(found.acknowledged) == site.first.exams()
        assert not found.wrong - found.statuses[0]
        site.settle()
        every_server_has_all_files(site)
        site.first.flask("fsck")


def every_server_has_all_files(site: Installation) -> None:
    """Fetch every image of every exam from each web server."""
    rows = site.first.rows("SELECT exam_id, id FROM images")
    assert rows
    for served in site.web:
        reader = SignedIn(served)
        for exam_id, image_id in rows:
            for kind in ("original", "display", "thumb", "tiles"):
                status = reader.status(f"/exams/{exam_id}/images/{image_id}/{kind}")
                assert status == 200, f"{kind}: {status}"


def test_a_session_and_a_limit_of_sign_in_hold_across_servers(tiny_models: Path, tmp_path: Path) -> None:
    with services.running(tiny_models, tmp_path, computing=0) as site:
        first, second = site.web
        reader = SignedIn(first)
        assert SignedIn(second, reader.cookie).status("/") == reader.status("/") == 200
        statuses = [guess(site.web[number % 2])[0] for number in range(8)]
        assert statuses[:5] == [401] * 5 and 429 in statuses[5:]


def test_a_server_with_another_key_does_not_start(tiny_models: Path, tmp_path: Path) -> None:
    with services.running(tiny_models, tmp_path, computing=0) as site:
        for name, line in (
            ("BIRADS_SECRET_KEY", "The key that signs sessions is not that of the web servers that run"),
            ("BIRADS_SITE_KEY", "The site key of BIRADS_SITE_KEY is not the one"),
        ):
            environment = site.first.environment | {
                name: secrets.token_hex(32),
                "BIRADS_INSTANCE": str(tmp_path / "other"),
                "PORT": "0",
            }
            ended = subprocess.run(
                [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"],
                cwd=worker.ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert ended.returncode and line in ended.stderr and "Traceback" not in ended.stderr


class SignedIn:
    """A browser at a server; it has signed in there, unless it brings the cookie of another one's session."""

    def __init__(self, served: worker.Served, cookie: str = "") -> None:
        self._served = served
        self.cookie = cookie or guess(served, served.password)[1]

    def status(self, path: str) -> int:
        """Return the status of a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self._served.port, timeout=60)
        connection.request("GET", path, headers={"Cookie": self.cookie})
        return connection.getresponse().status


def guess(served: worker.Served, password: str = "wrong password") -> tuple[int, str]:
    """Send a password; return the status and the cookies."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request("GET", "/login")
    page = connection.getresponse()
    cookie, text = page.headers["Set-Cookie"].partition(";")[0], page.read().decode()
    token = text.partition('name="csrf_token"')[2].partition('value="')[2].partition('"')[0]
    body = urlencode({"csrf_token": token, "name": served.name, "password": password})
    connection.request(
        "POST", "/login", body, {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    )
    answer = connection.getresponse()
    answer.read()
    given = [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie", [])]
    return answer.status, "; ".join(given)
