"""Tiles of an image's grey values: content, caching, deletion, access."""

import gzip
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.records import exam_bin, exams, tiles
from tests.support import stored_files
from tests.support.factories import breast, dicom, dicom_bytes, make_user, sign_in

PIXELS = breast(1300, 1037)


@pytest.fixture
def url(serving_app: Flask, client: FlaskClient) -> str:
    """The address of the tiles of an image that is three tiles high and wide."""
    make_user(serving_app)
    sign_in(client)
    dataset = dicom(PIXELS)
    dataset.WindowCenter, dataset.WindowWidth = [30000, 20000], [40000, 9000]
    dataset.WindowCenterWidthExplanation = ["NORMAL", "HARDER"]
    dataset.PixelSpacing = [0.07, 0.07]
    made = client.post("/upload", data={"files": [(io.BytesIO(dicom_bytes(dataset)), "one.dcm")]}).location
    with serving_app.app_context():
        (image,) = exams.get(made.rsplit("/", 1)[-1]).images
        return f"{made}/images/{image.id}/tiles"


def folder(app: Flask, url: str) -> Path:
    return Path(app.instance_path, "images", *url.split("/")[2:5:2])


def level(client: FlaskClient, url: str, number: int, height: int, width: int) -> np.ndarray:
    """Join the tiles of a level."""
    rows = []
    for row, top in enumerate(range(0, height, tiles.SIDE)):
        parts = []
        for column, left in enumerate(range(0, width, tiles.SIDE)):
            size = (min(tiles.SIDE, height - top), min(tiles.SIDE, width - left))
            data = client.get(f"{url}/{number}/{row}/{column}").data
            parts.append(np.frombuffer(data, "<u2").reshape(size))
        rows.append(np.hstack(parts))
    return np.vstack(rows)


def test_tiles_have_each_level_of_the_pyramid(client: FlaskClient, url: str) -> None:
    about = client.get(url).json
    assert about and (about["width"], about["height"], about["levels"]) == (1037, 1300, 3)
    whole = level(client, url, 0, 1300, 1037).astype(float)
    low, high = (float(end) for end in (PIXELS.min(), PIXELS.max()))
    assert np.abs(whole - (PIXELS - low) / (high - low) * 65535).max() <= 0.5
    last = level(client, url, 2, 325, 260)
    by_area = cv2.resize(whole, (260, 325), interpolation=cv2.INTER_AREA)
    assert np.abs(last - by_area).mean() < 70


def test_the_description_has_windows_and_spacing(client: FlaskClient, url: str) -> None:
    about = client.get(url).json
    assert about and about["spacing"] == [0.07, 0.07]
    assert [preset["name"] for preset in about["presets"]] == ["NORMAL", "HARDER", "Full range"]
    unit = (about["ends"][1] - about["ends"][0]) / 65535
    preset = about["presets"][1]
    assert about["ends"][0] + unit * (preset["low"] + preset["high"]) / 2 == pytest.approx(20000 - 0.5)
    assert unit * (preset["high"] - preset["low"]) == pytest.approx(9000 - 1)


def test_tiles_are_compressed_and_cached_by_the_browser(client: FlaskClient, url: str) -> None:
    answer = client.get(f"{url}/0/0/0", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.data) == client.get(f"{url}/0/0/0").data
    assert answer.cache_control.private and answer.cache_control.no_cache
    headers = {"Accept-Encoding": "gzip", "If-None-Match": answer.headers["ETag"]}
    assert client.get(f"{url}/0/0/0", headers=headers).status_code == 304


def test_concurrent_requests_build_the_tiles_once(
    serving_app: Flask, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real = tiles.grayscale_range.read
    monkeypatch.setattr(tiles.grayscale_range, "read", lambda *args: made.append(1) or real(*args))

    def ask(_: int) -> int:
        client = serving_app.test_client()
        sign_in(client)
        return client.get(f"{url}/0/1/1").status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(4))) == {200}
    assert made == [1]


def test_an_incomplete_file_of_a_crash_is_replaced(serving_app: Flask, client: FlaskClient, url: str) -> None:
    left = folder(serving_app, url) / ".part-tiles-2.zip"
    left.write_bytes(b"half of it" * 10_000)
    assert client.get(url).status_code == 200
    assert not left.exists()


def test_tiles_are_deleted_with_the_exam(serving_app: Flask, client: FlaskClient, url: str) -> None:
    assert client.get(url).status_code == 200
    assert (folder(serving_app, url) / "tiles-2.zip").is_file()
    exam_id = url.split("/")[2]
    with serving_app.app_context():
        exam_bin.put(exam_id, "anna", "Test.")
        assert client.get(url).status_code == 404
        exam_bin.erase(exam_id, "anna", at_once=True)
    assert not folder(serving_app, url).exists()
    assert client.get(url).status_code == 404


def test_unknown_tiles_are_not_found(client: FlaskClient, url: str) -> None:
    for odd in ("/3/0/0", "/0/3/0", "/0/0/-1", "/x/0/0", "/0/0"):
        assert client.get(url + odd).status_code == 404


def test_a_missing_original_is_reported(serving_app: Flask, client: FlaskClient, url: str) -> None:
    with serving_app.app_context():
        stored_files.lose(exams.image(*url.split("/")[2:5:2]), "original")
    assert client.get(url).status_code == 404


def test_tiles_need_a_session(serving_app: Flask, url: str) -> None:
    visitor = serving_app.test_client()
    for address in (url, f"{url}/0/0/0"):
        assert visitor.get(address).status_code == 302
