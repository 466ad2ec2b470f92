"""Models as signed archives: out and in again, damaged, changed, of another site; deletion."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner

from birads_app.model import bundles, model_archive, registry
from birads_app.records.schema import Exam, Role
from birads_app.services import model_files
from birads_app.terms.errors import BiradsError, ModelArchiveRefused
from tests.support.factories import last_audit_entry, make_user, sign_in
from tests.support.signed_exams import store_signed_exam
from training.cli.commands import register

FOREIGN = b"f" * 32


@pytest.fixture
def folder(two_models: Path) -> Path:
    """Return a folder with two valid models, the first of them in service."""
    return two_models


@pytest.fixture
def admin(app: Flask, client: FlaskClient, folder: Path) -> FlaskClient:
    """A signed-in administrator's browser, at a site with two models."""
    make_user(app, "anna", Role.ADMIN)
    sign_in(client, "anna")
    return client


def archive_of(app: Flask, folder: Path, seed: bytes | None = None) -> bytes:
    target = io.BytesIO()
    with app.app_context():
        if seed is None:
            model_files.export("second", target)
        else:
            model_archive.pack(bundles.load(folder / "second"), seed, target)
    return target.getvalue()


def changed(archive: bytes, change: Callable[[str, bytes], bytes | None], *more: tuple[str, bytes]) -> bytes:
    """Write the archive again with other contents; None leaves a file out."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(target, "w") as output:
        for name in source.namelist():
            if (content := change(name, source.read(name))) is not None:
                output.writestr(name, content)
        for name, content in more:
            output.writestr(name, content)
    return target.getvalue()


def same(_: str, content: bytes) -> bytes:
    return content


def test_a_downloaded_model_is_uploaded_again(app: Flask, admin: FlaskClient, folder: Path) -> None:
    answer = admin.get("/admin/models/second/download")
    assert answer.headers["Content-Disposition"] == "attachment; filename=second.model.zip"
    assert last_audit_entry(app)[1:3] == ("download model", "second")
    before = {file.name: file.read_bytes() for file in (folder / "second").iterdir()}
    done = admin.post("/admin/models/second/delete", data={"reason": "makes room"}, follow_redirects=True)
    assert "Model second deleted." in done.text and not (folder / "second").exists()
    assert last_audit_entry(app) == ("anna", "delete model", "second", "makes room")

    files = {"archive": (io.BytesIO(answer.data), "second.model.zip"), "name": ""}
    done = admin.post("/admin/models/upload", data=files, follow_redirects=True)
    assert "Model second added." in done.text and last_audit_entry(app)[1:3] == ("upload model", "second")
    assert {file.name: file.read_bytes() for file in (folder / "second").iterdir()} == before
    assert registry.promoted(folder) == ["first"]
    assert not [path for path in folder.iterdir() if path.name.startswith(".upload")]


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda data: data[: len(data) // 2], "not a complete archive"),
        (lambda data: b"no archive", "not a complete archive"),
        (
            lambda data: changed(data, lambda name, held: None if name == "signature.json" else held),
            "complete",
        ),
        (
            lambda data: changed(data, lambda name, held: None if name == "head.pb" else held),
            "head.pb of model",
        ),
        (
            lambda data: changed(data, lambda name, held: b"x" if name == "head.pb" else held),
            "was changed or is",
        ),
        (
            lambda data: changed(
                data, lambda name, held: held.replace(b'"demonstration": true', b'"demonstration": false')
            ),
            "changed after it was signed",
        ),
        (lambda data: changed(data, same, ("../evil.txt", b"x")), "contains the file ../evil.txt"),
        (lambda data: changed(data, same, ("/etc/x", b"x")), "contains the file /etc/x"),
        (lambda data: changed(data, same, ("model.py", b"x")), "contains the file model.py"),
        (lambda data: changed(data, same, ("head.pb", b"x")), "not a complete archive"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_damaged_or_changed_archive_is_refused(
    app: Flask, folder: Path, damage: Callable[[bytes], bytes], text: str
) -> None:
    spoilt = damage(archive_of(app, folder))
    with app.app_context(), pytest.raises(BiradsError, match=text):
        model_files.add(io.BytesIO(spoilt), "third")
    assert sorted(bundles.list_names(folder)) == ["first", "second"]
    assert not list(folder.parent.rglob("evil.txt"))


def test_an_archive_that_grows_too_large_is_refused(
    app: Flask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_archive, "_MOST_BYTES", 1 << 20)
    bomb = changed(archive_of(app, folder), lambda name, held: bytes(1 << 21) if name == "head.pb" else held)
    with app.app_context(), pytest.raises(ModelArchiveRefused, match="more than 1 MiB"):
        model_files.add(io.BytesIO(bomb), "third")


def test_a_foreign_key_is_accepted_by_its_fingerprint_only(
    app: Flask, admin: FlaskClient, folder: Path
) -> None:
    archive = archive_of(app, folder, FOREIGN)
    fingerprint = model_archive.fingerprint(FOREIGN)

    def upload(**more: str) -> str:
        data = {"archive": (io.BytesIO(archive), "x.zip"), "name": "third", **more}
        return str(admin.post("/admin/models/upload", data=data, follow_redirects=True).text)

    assert f"another site, whose key has the fingerprint {fingerprint}" in upload()
    assert "another site" in upload(fingerprint=fingerprint[:-1] + "x")
    assert not (folder / "third").exists()
    assert "Model third added." in upload(fingerprint=fingerprint.upper())
    assert last_audit_entry(app) == ("anna", "upload model", "third", f"key {fingerprint}")
    assert "already exists" in upload(fingerprint=fingerprint)


def test_the_model_in_service_is_not_deleted(app: Flask, admin: FlaskClient, folder: Path) -> None:
    answer = admin.post("/admin/models/first/delete", data={"reason": "x"})
    assert answer.status_code == 409 and "is in service" in answer.text
    assert (folder / "first").is_dir() and last_audit_entry(app)[1] != "delete model"
    registry.promote(folder, "second")
    registry.promote(folder, "first")
    admin.post("/admin/models/second/delete", data={"reason": "x"})
    assert registry.promoted(folder) == ["first"]
    assert admin.post("/admin/models/second/delete", data={"reason": "x"}).status_code == 404


def test_the_name_of_a_deleted_model_with_results_is_not_used_again(app: Flask, folder: Path) -> None:
    make_user(app)

    def by_second(exam: Exam, _: object) -> None:
        exam.model = "second"

    store_signed_exam(app, "4", change=by_second)
    archive = archive_of(app, folder)
    with app.app_context():
        model_files.delete("second", "old")
        with pytest.raises(ModelArchiveRefused, match="results of a deleted model"):
            model_files.add(io.BytesIO(archive))


def test_the_commands_export_import_and_delete(
    app: Flask, folder: Path, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    register(app)
    file = str(tmp_path / "second.model.zip")

    def run(*arguments: str) -> str:
        result = runner.invoke(args=["models", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    assert "signed with the key" in run("export", "second", file)
    assert "Deleted second." in run("delete", "second", "--reason", "moved")
    assert "Added second." in run("import", file)
    assert json.loads((folder / "second" / "manifest.json").read_text())["name"]
