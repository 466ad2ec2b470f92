"""The product on gunicorn while clients send half requests or none, and clients that send large bodies in vain."""

import contextlib
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import requests

from birads_app import create_app
from birads_app.records import database, tokens, users
from tests.browser.server import serve
from tests.support import servers
from tests.support.small_server import Client, get

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"
KEYS = {"BIRADS_SITE_KEY": "s" * 40, "BIRADS_SECRET_KEY": "k" * 40}
LIMIT_MB = 64
SIZE = 80_000_000


@dataclass(frozen=True)
class Site:
    """A running server with a radiologist, and tokens of a radiologist and an auditor."""

    url: str
    reader: str
    auditor: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, empty_instance: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    prepared = folder / "prepared"
    servers.copy_instance(empty_instance, prepared)
    places = {"BIRADS_INSTANCE": str(prepared), "BIRADS_MODELS": str(folder)}
    app = create_app({**places, **servers.settings_of(prepared), **KEYS})
    with app.app_context():
        reader = tokens.create(users.create("reader", PASSWORD, "radiologist"))
        auditor = tokens.create(users.create("auditor", PASSWORD, "auditor"))
        database.engine().dispose()
    settings = {**KEYS, "BIRADS_MODELS": str(folder / "models"), "BIRADS_MAX_UPLOAD_MB": str(LIMIT_MB)}
    with serve(folder, prepared, WEB_CONCURRENCY="1", BIRADS_COMPUTE_PROCESSES="0", **settings) as server:
        yield Site(server.url, reader, auditor)


def sign_in(site: Site) -> requests.Session:
    session = requests.Session()
    page = session.get(f"{site.url}/login", timeout=60).text
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token, page
    form = {"name": "reader", "password": PASSWORD, "csrf_token": token[1]}
    assert session.post(f"{site.url}/login", form, timeout=60).url == f"{site.url}/"
    return session


def test_half_requests_do_not_delay_pages(site: Site) -> None:
    """16 half headers, 200 silent connections and 32 half bodies, half of them uploads, at once."""
    session = sign_in(site)
    upload = ("Content-Type: multipart/form-data; boundary=b", f"Authorization: Bearer {site.reader}")
    slowest = 0.0
    with contextlib.ExitStack() as stack:
        for number in range(248):
            client = stack.enter_context(Client(site.port))
            if number < 16:
                client.send(get("/login")[:-2])
            elif number < 32:
                client.send(get("/login", "Content-Length: 1000", method="POST") + b"csrf")
            elif number < 48:
                client.send(
                    get("/api/v1/predictions", "Content-Length: 9000000", *upload, method="POST") + b"--b\r\n"
                )
        end = time.monotonic() + 4
        while time.monotonic() < end:
            for path in ("/healthz", "/"):
                began = time.monotonic()
                assert session.get(site.url + path, timeout=60).status_code == 200
                slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.2)
    assert slowest < 1


Send = Callable[[str, Path, dict[str, str]], tuple[int, str]]


def by_urllib(url: str, body: Path, headers: dict[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(url, body.read_bytes(), headers, method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    return caught.value.code, caught.value.read().decode()


def by_requests(url: str, body: Path, headers: dict[str, str]) -> tuple[int, str]:
    answer = requests.post(url, body.read_bytes(), headers=headers, timeout=60)
    return answer.status_code, answer.text


def by_httpx(url: str, body: Path, headers: dict[str, str]) -> tuple[int, str]:
    answer = httpx.post(url, content=body.read_bytes(), headers=headers, timeout=60)
    return answer.status_code, answer.text


def by_curl(url: str, body: Path, headers: dict[str, str]) -> tuple[int, str]:
    options = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = [
        "curl",
        "-sS",
        "-H",
        "Expect:",
        *options,
        "--data-binary",
        f"@{body}",
        "-w",
        "%{http_code}",
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout[-3:]), done.stdout[:-3]


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("body") / "body"
    path.write_bytes(b"x" * SIZE)
    return path


@pytest.mark.parametrize("send", [by_urllib, by_requests, by_httpx, by_curl])
@pytest.mark.parametrize(
    ("status", "token", "media_type"),
    [
        (401, "wrong", "multipart/form-data; boundary=b"),
        (403, "auditor", "multipart/form-data; boundary=b"),
        (413, "reader", "multipart/form-data; boundary=b"),
        (415, "reader", "application/dicom"),
    ],
)
def test_a_client_with_a_refused_body_reads_the_reason(
    site: Site, body: Path, send: Send, status: int, token: str, media_type: str
) -> None:
    headers = {"Authorization": f"Bearer {getattr(site, token, token)}", "Content-Type": media_type}
    answered, text = send(f"{site.url}/api/v1/predictions", body, headers)
    assert answered == status
    assert '"error":' in text
