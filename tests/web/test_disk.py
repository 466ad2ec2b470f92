"""A full or read-only disk: refused uploads, messages, and readiness. The disks are real, mounted for the test."""

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.monitoring import instruments
from birads_app.records import database, tokens, users
from tests.support.factories import bearer, make_user, post_files, sign_in

FLOOR_MB = 4
TOKEN_FORM = {"name": "robot", "scopes": " ".join(tokens.DEFAULT_SCOPES), "days": "30"}


class Unread(io.BytesIO):
    """A body that must not be read."""

    def read(self, *_: object) -> bytes:
        raise AssertionError("the body was read")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a small disk as the instance folder; skips without the right to do so."""
    folder = tmp_path / "instance"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def config(config: dict[str, object], disk: Path) -> dict[str, object]:
    return {**config, "BIRADS_MIN_FREE_MB": str(FLOOR_MB)}


@pytest.fixture
def token(app: Flask, client: FlaskClient) -> str:
    """Return a token of an account that is also signed in."""
    make_user(app)
    sign_in(client)
    with app.app_context():
        return tokens.create(users.by_name("reader"))


def fill(disk: Path, left_kb: int) -> None:
    """Leave only so much space."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with (disk / "filler").open("wb") as stream:
        stream.write(bytes(free - left_kb * 1024))


def remount(disk: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(disk)], check=True)


def reasons(client: FlaskClient) -> str:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    return " ".join(answer.json["reasons"])


def upload_unread(client: FlaskClient, token: str) -> tuple[int, str]:
    answer = client.post(
        "/api/v1/predictions",
        headers=bearer(token),
        input_stream=Unread(bytes(10**6)),
        content_type="multipart/form-data; boundary=x",
    )
    return answer.status_code, answer.json["error"]


def test_an_upload_is_refused_unread_below_the_floor_and_pages_go_on(
    disk: Path, client: FlaskClient, token: str
) -> None:
    assert "disk" not in reasons(client)
    fill(disk, left_kb=(FLOOR_MB * 1024) // 2)
    assert "The server's disk is nearly full: 2 MB are free, 4 MB must be." in reasons(client)
    status, message = upload_unread(client, token)
    assert status == 507 and "nearly full" in message and "free up space" in message
    assert client.get("/").status_code == 200
    assert client.post("/language", data={"language": "en"}).status_code < 400


@pytest.mark.sqlite  # whose file is on the disk
def test_a_disk_without_any_space_gives_a_message(
    app: Flask, disk: Path, client: FlaskClient, token: str
) -> None:
    fill(disk, left_kb=0)
    assert client.get("/").status_code == 200
    with app.app_context():
        answer = client.post("/account/tokens", data=TOKEN_FORM)
    assert answer.status_code == 507, answer.text
    assert "free up space" in answer.text


@pytest.mark.sqlite  # whose file is on the disk
def test_a_read_only_disk_gives_a_message(app: Flask, disk: Path, client: FlaskClient, token: str) -> None:
    with app.app_context():
        database.engine().dispose()  # a disk with open files cannot be made read-only
    instruments._file.close()
    remount(disk, "ro")
    assert "The server's disk is read-only." in reasons(client)
    assert upload_unread(client, token)[0] == 503
    page = client.get("/")
    assert page.status_code == 503 and "make it writable again" in page.text
    answer = client.post("/account/tokens", data=TOKEN_FORM)
    assert answer.status_code == 503, answer.text
    assert "make it writable again" in answer.text
    small = post_files(client, token, ("left.png", b"small"))
    assert small.status_code == 503 and "read-only" in small.json["error"]
    remount(disk, "rw")
    assert "disk" not in reasons(client)
