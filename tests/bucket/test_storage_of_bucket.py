"""Sizes of files in a bucket: estimated with few requests, and left out while the bucket does not answer."""

import io
import os
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.records import file_store, spool, storage
from birads_app.records.schema import Role
from tests.support import stored_exam
from tests.support.factories import make_user, sign_in
from tests.support.object_store import ObjectStore
from tests.support.pictures import wait_for_pictures

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


@pytest.fixture
def filled(serving_app: Flask, client: FlaskClient) -> Flask:
    """Return an application with an exam of two images and a received object, and an administrator signed in."""
    make_user(serving_app, "admin", role=Role.ADMIN)
    sign_in(client, "admin")
    sent = [(io.BytesIO(content), name) for name, content in stored_exam.views(1, 2).items()]
    assert client.post("/upload", data={"files": sent}, content_type="multipart/form-data").status_code == 303
    with serving_app.app_context():
        wait_for_pictures(Path(serving_app.instance_path, "images"))
        spool.of_app().add("1.2", "1.2.3", bytes(1000))
    return serving_app


def test_sizes_are_those_of_the_objects(filled: Flask, store: ObjectStore, address: str) -> None:
    sizes = {name: len(store.content(address, name)) for name in store.names(address)}
    with filled.app_context(), store.counted() as requests:
        found = storage.measure()
    assert len(requests) == 3  # for each image of the sample, and for the spool
    for kind in ("original", "derived"):
        (stored,) = (size for name, size in sizes.items() if kind in name)
        assert found.kinds[kind] == pytest.approx(stored, abs=2)
    assert found.folders["spool"].bytes == sum(
        size for name, size in sizes.items() if name.startswith("spool/")
    )
    assert found.folders["copies"].bytes > 0 and found.reached


def test_pages_and_figures_do_without_the_bucket(
    filled: Flask, client: FlaskClient, store: ObjectStore
) -> None:
    assert 'birads_image_files_bytes{kind="original"}' in client.get("/metrics").text
    assert "Copies of exams on this server" in client.get("/admin/storage").text
    filled.extensions.pop("birads_storage")
    with store.unreachable():
        assert "it is not counted" in client.get("/admin/storage").text
        assert client.get("/admin/").status_code == 200


def test_a_large_file_is_sent_in_parts(app: Flask, store: ObjectStore, tmp_path: Path) -> None:
    """So that four exams of films that are sent at a time take no gigabyte."""
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(1 << 20) * 50)
    with app.app_context():
        bucket = file_store.of_app().bucket
    assert bucket is not None
    with store.counted() as requests:
        bucket.send(sent, "large")
    assert len(requests) == 7 + 2  # the parts, the first and the last request
    bucket.fetch("large", back)
    assert back.read_bytes() == sent.read_bytes()
