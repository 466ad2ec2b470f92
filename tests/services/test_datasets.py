"""Data sets uploaded as ZIP, checked and deleted in the browser."""

import io
import json
import stat
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app import create_app
from birads_app.files import zip_unpacking
from birads_app.files.zip_unpacking import UnsafeZip, unpack_zip
from birads_app.records.errors import DatasetRefused
from birads_app.records.schema import Role
from birads_app.services import background_commands, dataset_checks, dataset_unpacking, datasets
from birads_app.services.dataset_checks import CheckState
from birads_app.services.dataset_unpacking import unpack_apart
from tests.support.factories import last_audit_entry, make_user, sign_in
from training.cli.commands import register
from training.phantoms.generate import write_set


@pytest.fixture
def admin(app: Flask, client: FlaskClient) -> FlaskClient:
    """A signed-in administrator's browser, at a site with the training commands."""
    register(app)
    make_user(app, "anna", Role.ADMIN)
    sign_in(client, "anna")
    return client


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    target.seek(0)
    return target


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (io.BytesIO(b"no zip"), "damaged or no ZIP"),
        (zipped(("../evil", b"x")), "name '../evil' is not allowed"),
        (zipped(("/etc/evil", b"x")), "is not allowed"),
        (zipped(("a/../../evil", b"x")), "is not allowed"),
        (zipped(("..\\evil", b"x")), "is not allowed"),
        (zipped((link("1/a.png"), b"/etc/passwd")), "is a link"),
        (zipped(("1/a", bytes(3 << 20))), "too large unpacked"),
        (zipped(("a", b"x" * 60), ("b", b"x" * 60), method=zipfile.ZIP_STORED), "too large unpacked"),
        (zipped(*((f"{n}", b"") for n in range(11))), "more than 10 files"),
        (zipped(("1/a", b"x"), ("1//a", b"y")), "occurs twice"),
        (zipped(("a", b"x"), method=zipfile.ZIP_BZIP2), "a way that is not read"),
    ],
)
def test_an_unsafe_file_is_refused(tmp_path: Path, stream: io.BytesIO, reason: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    most = 100 if "60" in reason or stream.getbuffer().nbytes < 400 else 1 << 30
    with pytest.raises(UnsafeZip, match=reason):
        unpack_zip(stream, inside, most_bytes=most, most_files=10)
    assert [path for path in tmp_path.rglob("*evil*") if inside not in path.parents] == []


def test_the_page_tells_how_much_is_unpacked(
    admin: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []

    def extract_and_look(*given: object) -> int:
        for name in ("film", "fil", "film-2"):
            said.append(admin.get(f"/admin/datasets/unpacking?name={name}").json["text"])
        return extract(*given)

    extract = zip_unpacking._extract
    monkeypatch.setattr(zip_unpacking, "_extract", extract_and_look)
    monkeypatch.setattr(dataset_unpacking, "_INTERVAL_S", 0)
    with app.test_request_context():
        datasets.add(zipped(("1/a.png", b"x"), ("2/b.png", b"y")), "film", "anna")
    assert said == ["Unpacking: 0 of 2 files", "", "", "Unpacking: 1 of 2 files", "", ""]
    assert admin.get("/admin/datasets/unpacking?name=film").json["text"] == ""
    assert 'data-progress="/admin/datasets/unpacking"' in admin.get("/admin/datasets").text


def test_a_list_of_entries_that_fills_the_memory_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_unpacking, "_DIRECTORY_MAX", 500)
    with pytest.raises(UnsafeZip, match="too many files"):
        unpack_zip(zipped(*((f"{n}", b"") for n in range(50))), tmp_path, most_bytes=100, most_files=100)


def test_a_data_set_is_uploaded_listed_and_deleted(app: Flask, admin: FlaskClient) -> None:
    stream = zipped(("set/1/a.png", b"1"), ("set/5/b.png", b"2"), ("__MACOSX/x", b""), ("set/.DS_Store", b""))
    data = {"name": "first", "archive": (stream, "set.zip")}
    done = admin.post("/admin/datasets", data=data, follow_redirects=True)
    assert "Data set first uploaded." in done.text
    assert last_audit_entry(app) == ("anna", "upload data set", "first", "2 files")
    with app.app_context():
        (found,) = datasets.uploaded()
        files = sorted(path.relative_to(found.path).as_posix() for path in Path(found.path).rglob("*.png"))
        assert files == ["1/a.png", "5/b.png"]
        assert datasets.data_folder(found.path) == found.path and found.path in datasets.folders()
        assert datasets.folder().stat().st_mode & 0o077 == 0
    again = admin.post("/admin/datasets", data={"name": "first", "archive": (zipped(("1/a", b"")), "s.zip")})
    assert again.status_code == 409 and "already exists" in again.text
    for name in ("../up", ".hidden", "a/b"):
        bad = admin.post("/admin/datasets", data={"name": name, "archive": (zipped(("1/a", b"")), "s.zip")})
        assert bad.status_code == 409 and "not a valid name" in bad.text
    broken = admin.post("/admin/datasets", data={"name": "x", "archive": (io.BytesIO(b"no"), "s.zip")})
    assert "The ZIP file cannot be used: it is damaged" in broken.text
    assert "Delete data set first?" in admin.get("/admin/datasets/first/delete").text
    assert "Data set first deleted." in admin.post("/admin/datasets/first/delete", follow_redirects=True).text
    assert last_audit_entry(app)[1:3] == ("delete data set", "first")
    with app.app_context():
        assert datasets.uploaded() == [] and list(datasets.folder().iterdir()) == []


@pytest.mark.slow
def test_a_zip_file_is_unpacked_in_a_process_of_its_own(
    config: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app({**config, "BIRADS_COMPUTE_PROCESSES": "1"})
    monkeypatch.setattr(dataset_unpacking, "unpack_zip", None)  # would fail in this process
    upload = tmp_path / "set.zip"
    upload.write_bytes(zipped(("1/a.png", b"1"), ("2/b.png", b"2")).getvalue())
    target = tmp_path / "target"
    target.mkdir()
    with app.app_context(), upload.open("rb") as stream:
        assert unpack_apart(stream, target, most_bytes=100, most_files=10) == 2
        with pytest.raises(DatasetRefused, match="more than 1 files"):
            unpack_apart(zipped(("3/a", b""), ("3/b", b"")), target, most_bytes=100, most_files=1)
    assert (target / "2" / "b.png").read_bytes() == b"2"


def test_only_allowed_folders_are_checked(app: Flask, admin: FlaskClient, tmp_path: Path) -> None:
    answer = admin.post("/admin/datasets/check", data={"data": str(tmp_path)})
    assert answer.status_code == 409 and "is not allowed" in answer.text
    with app.app_context():
        assert dataset_checks.listing() == []


def test_a_report_is_shown_with_what_it_names(app: Flask, admin: FlaskClient) -> None:
    report = {
        "counts": {"1": 8, "5": 2}, "images": 10, "patients": 4, "views": {"L CC": 5},
        "mixed": {"P1": ["1", "5"]}, "refused": [["5/<b>.png", "damaged"]], "notes": [],
        "copies": [{"files": ["1/a.png", "5/b.png"]}], "near": [], "problems": [],
        "warnings": ["WARNING: category 5 has 2 images"],
    }  # fmt: skip
    with app.app_context():
        folder = Path(app.instance_path) / "dataset-checks" / "20260101-120000-abcdef"
        folder.mkdir(parents=True)
        content = {"id": folder.name, "data": "/srv/set", "who": "anna"}
        (folder / "check.json").write_text(json.dumps(content))
        assert dataset_checks.state(dataset_checks.get(folder.name)) == CheckState.FAILED
        (folder / "report.json").write_text(json.dumps(report))
    page = admin.get(f"/admin/datasets/checks/{folder.name}").text
    for text in (
        "This data set can be trained on.", "10 images of 4 patients", "WARNING: category 5 has 2 images",
        "5/&lt;b&gt;.png: damaged", "P1: 1, 5", "1/a.png = 5/b.png", "Duplicates: 1",
    ):  # fmt: skip
        assert text in page, text
    assert "finished" in admin.get("/admin/datasets").text


@pytest.mark.slow
def test_an_uploaded_data_set_is_checked(
    app: Flask, admin: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments, start = [], subprocess.Popen
    monkeypatch.setattr(
        background_commands.subprocess,
        "Popen",
        lambda *given, **named: (environments.append(named["env"]), start(*given, **named))[1],
    )
    write_set(tmp_path / "set", 3, seed=1, size=128)
    files = [(path.relative_to(tmp_path).as_posix(), path) for path in (tmp_path / "set").rglob("*.*")]
    stream = zipped(*((name, path.read_bytes()) for name, path in files))
    admin.post("/admin/datasets", data={"name": "phantoms", "archive": (stream, "set.zip")})
    with app.app_context():
        path = datasets.uploaded()[0].path
    answer = admin.post("/admin/datasets/check", data={"data": path})
    assert answer.status_code == 303
    assert environments[-1]["BIRADS_LOG_FORMAT"] == "plain"  # people read the log
    address = answer.location
    deadline = time.monotonic() + 120
    while (now := admin.get(f"{address}/progress").json)["state"] == "running":
        assert time.monotonic() < deadline, now
        time.sleep(0.3)
    page = admin.get(address).text
    assert "12 images of 3 patients" in page, page
