"""``flask dataset export``: signed exams as a labelled folder for training."""

import csv
import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from pydicom import dcmread

from birads_app.cli.practice_tables import export
from birads_app.deid.prepare import PreparedFile, prepare
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging.source_file import SourceFile
from birads_app.model import bundles
from birads_app.model.image_prediction import ImagePrediction
from birads_app.practice.dataset_export import label
from birads_app.records import audit_log, exams, files, users
from birads_app.records.schema import Assessment, Exam, Image
from tests.support.factories import breast, dicom, dicom_bytes, make_user, mammogram_png
from tests.support.signed_exams import MODEL, store_signed_exam
from training.cli.commands import dataset

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def reader(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Flask:
    make_user(app)
    app.cli.add_command(dataset)
    monkeypatch.setitem(dataset.commands, "export", export)
    return app


def breast_dicom(seed: int, patient: str, side: str) -> bytes:
    made = dicom(breast(320, 256, seed))
    made.PatientID, made.ImageLaterality = patient, side
    return dicom_bytes(made)


def stored(app: Flask, *sent: bytes, patient: str | None = None, anonymous: bool = True) -> str:
    """Store files as an unread exam and return its id."""
    with app.app_context():
        user, pseudonyms = users.by_name("reader"), Pseudonyms(app.extensions["birads_site_key"])
        exam = Exam(
            id=uuid.uuid4().hex, uploader_id=user.id, model=MODEL, demonstration=False, pooling="mean"
        )
        draft = files.open_draft()
        for number, data in enumerate(sent):
            given = prepare(SourceFile("", data), pseudonyms if anonymous else None)
            image = an_image(number, given)
            exam.images.append(image)
            files.write_original(draft / image.id, given.mammogram.source, given.chunks)
            if given.identity:
                exam.pseudonym = pseudonyms.patient(given.identity)
        return exams.store(exam, draft, user).id


def an_image(number: int, given: PreparedFile) -> Image:
    seen = given.mammogram
    return Image(
        id=uuid.uuid4().hex, position=number, filename=f"file-{number}", source=seen.source, view="CC",
        laterality=seen.laterality, role="standard", prediction=ImagePrediction("1", {"1": 1.0}), width=10, height=10,
    )  # fmt: skip


def assess(app: Flask, exam: str, right: str | None, left: str | None, **more: object) -> None:
    def breasts(_: Exam, assessment: Assessment) -> None:
        assessment.right, assessment.left, assessment.density = right, left, "C"

    overall = max(filter(None, (right, left)))
    store_signed_exam(app, overall, exam=exam, change=breasts, **more)  # type: ignore[arg-type]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_the_folder_is_in_the_layout_of_training(
    reader: Flask, folder: Path, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    for patient in range(6):
        exam = stored(
            reader,
            breast_dicom(2 * patient, f"ID-{patient}", "R"),
            breast_dicom(2 * patient + 1, f"ID-{patient}", "L"),
        )
        assess(reader, exam, "1", "4B")
    target = tmp_path / "read"
    result = runner.invoke(args=["dataset", "export", str(target)])
    assert result.exit_code == 0, result.output
    assert "6 exams of 6 patients; images: 6 of BI-RADS 1, 6 of BI-RADS 4." in result.output
    assert not list(tmp_path.glob(".*draft"))
    with reader.app_context():
        (entry,) = audit_log.newest(1)
    assert (entry.who, entry.action, entry.subject) == ("console", "export data set", "6")
    result = runner.invoke(
        args=["train", "--data", str(target), "--name", "mine", "--head", "knn", "--resampling", "none",
              "--no-sanity-checks", "--no-report-images"]
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "12 usable images" in result.output
    assert re.findall("WARNING: (.{12})", result.output) == ["the test set"]  # it is small
    made = bundles.load(folder / "mine")
    assert made.classes == ("1", "4")
    measured = json.loads((folder / "mine" / "evaluation.json").read_text())
    assert measured["images"] == 2 * measured["patients"]  # no patient is on two sides of the split


def test_the_newest_assessment_labels_each_breast(
    reader: Flask, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    make_user(reader, "anna")
    both = stored(reader, breast_dicom(1, "A", "R"), breast_dicom(2, "A", "L"))
    picture = stored(reader, mammogram_png(3))
    assess(reader, both, "1", "1", at="2026-01-01")
    assess(reader, both, "4A", None, at="2026-02-01")
    assess(reader, both, "5", "5", at="2026-03-01", is_signed=False)
    assess(reader, picture, "2", "2", at="2026-01-05", reader="anna")
    report = runner.invoke(args=["dataset", "export", str(tmp_path / "all")]).output
    (left_out_of_both, of_picture) = rows(tmp_path / "all")
    assert left_out_of_both["birads"] == "4A" and left_out_of_both["side"] == "R"
    assert of_picture["birads"] == "2" and of_picture["density"] == "C"
    assert "without a label: 1 image." in report and "flask train --classes" in report
    for options, count in (
        (["--reader", "anna"], 1), (["--to", "2026-01-31"], 1), (["--from", "2026-01-06"], 1),
        (["--with-drafts"], 3),
    ):  # fmt: skip
        target = tmp_path / "".join(options)
        assert runner.invoke(args=["dataset", "export", str(target), *options]).exit_code == 0
        assert len(rows(target)) == count


@pytest.mark.parametrize(
    ("right", "left", "side", "named"),
    [
        ("1", "4B", "L", "4B"),
        (None, "2", "R", None),
        ("4B", "4B", None, "4B"),
        (None, "4B", None, "4B"),
        ("1", "4B", None, None),
        (None, None, None, "4B"),
    ],
)
def test_an_image_is_labelled_if_its_category_is_certain(
    right: str | None, left: str | None, side: str | None, named: str | None
) -> None:
    assert label(Assessment(right=right, left=left, overall="4B"), side) == named


def test_the_exported_images_have_no_identity(reader: Flask, runner: FlaskCliRunner, tmp_path: Path) -> None:
    for anonymous in (True, False):
        exam = stored(reader, breast_dicom(1, "ID-4711", "R"), mammogram_png(2), anonymous=anonymous)
        assess(reader, exam, "1", "1")
    target = tmp_path / "read"
    assert runner.invoke(args=["dataset", "export", str(target)]).exit_code == 0
    images = sorted(target.rglob("*.dcm"))
    assert len(images) == 2 and len(list(target.rglob("*.png"))) == 2
    (pseudonym,) = {str(dcmread(path).PatientID) for path in images}
    assert {row["patient"] for row in rows(target)} >= {pseudonym}
    for path in filter(Path.is_file, target.rglob("*")):
        assert b"ID-4711" not in path.read_bytes() and b"Secretname" not in path.read_bytes()


def test_an_export_without_exams_or_to_a_folder_in_use_is_refused(
    reader: Flask, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    def refused(target: Path) -> str:
        result = runner.invoke(args=["dataset", "export", str(target)])
        assert result.exit_code == 1 and "Traceback" not in result.output
        return result.output

    target = tmp_path / "read"
    assert "Nothing was exported" in refused(target) and not target.exists()
    assess(reader, stored(reader, breast_dicom(1, "A", "R")), "1", None)
    leftover = tmp_path / ".read.draft" / "images"
    leftover.mkdir(parents=True)  # of one that was killed
    target.mkdir()
    assert runner.invoke(args=["dataset", "export", str(target)]).exit_code == 0
    assert not leftover.exists() and len(rows(target)) == 1
    before = (target / "labels.csv").stat()
    assert "not empty" in refused(target) and (target / "labels.csv").stat() == before
    (tmp_path / "file").touch()
    assert "failed" in refused(tmp_path / "file" / "below")


def test_the_command_belongs_to_its_group(tmp_path: Path) -> None:
    environment = {**os.environ, "BIRADS_INSTANCE": str(tmp_path)}
    command = [sys.executable, "-m", "flask", "dataset", "--help"]
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "export" in shown.stdout and "check" in shown.stdout
