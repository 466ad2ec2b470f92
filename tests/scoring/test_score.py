"""``flask score``: an archive becomes a table, of which every row is what ``flask predict`` prints."""

import csv
import json
import os
from pathlib import Path

import pyarrow
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from pyarrow import parquet

from birads_app.model import registry
from birads_app.scoring.exam_table import write_exams
from birads_app.scoring.result_parts import ResultParts
from tests.scoring.conftest import Score
from tests.support.archives import failures_of, patient_file, rows_of, write_mixed
from tests.support.dicomweb_archive import Archive
from tests.support.factories import mammogram_png
from tests.support.http_server import http_server

pytestmark = pytest.mark.slow  # several processes with the libraries of a cluster


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return the folder of a mixed archive."""
    return write_mixed(tmp_path / "archive")


def test_a_row_is_what_predict_prints(
    score: Score, runner: FlaskCliRunner, archive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results.parquet"
    done = score(archive, out, "--paths", "--files", "4")
    assert "16 files scored, 2 exams; unusable: 4 files." in done.output
    rows = {row["path"]: row for row in rows_of(out) if row["failure"] is None}
    assert len(rows) == 11 and "pictures/packed.zip/inner/left.png" in rows
    files = [path for path in rows if ".zip" not in path]
    shown = runner.invoke(args=["predict", "--json", *(str(archive / path) for path in files)])
    for path, line in zip(files, shown.stdout.splitlines(), strict=True):
        printed, row = json.loads(line), rows[path]
        assert {f"p_{code}": value for code, value in printed["probabilities"].items()}.items() <= row.items()
        others = set(printed) - {"file", "probabilities"}
        assert {name: row[name] for name in others} == {name: printed[name] for name in others}
    assert failures_of(out) == {
        "empty.dcm": "file-empty",
        "pictures/broken.zip": "archive-damaged",
        "pictures/holiday.jpg": failures_of(out)["pictures/holiday.jpg"],
        "pictures/truncated.png": failures_of(out)["pictures/truncated.png"],
    }


def test_exams_are_pooled_from_their_images_whatever_the_partition(
    score: Score, app: Flask, archive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results.parquet"
    score(archive, out, "--files", "3")
    exams = parquet.ParquetFile(out / "_exams.parquet").read().to_pylist()
    rows = rows_of(out)
    assert len(exams) == 2
    for exam in exams:
        own = [row for row in rows if row["study"] == exam["study"]]
        assert exam["images"] == len(own) == 4 and exam["left_out"] == 0
        assert {row["patient"] for row in own} == {exam["patient"]}
        means = [
            sum(row["p_4"] + row["p_5"] for row in own if row["laterality"] == side) / 2 for side in "LR"
        ]
        assert exam["p_suspicious"] == pytest.approx(max(means))
    with app.app_context():
        from birads_app.deid.pseudonyms import site_pseudonyms

        again = ResultParts(out, ("1", "2", "3", "4", "5"), site_pseudonyms(), "m", "d")
        assert write_exams(again, "mean", rows=2) == 2  # in several groups of studies
    other = parquet.ParquetFile(out / "_exams.parquet").read().to_pylist()
    columns = ("study", "category", "p_suspicious")
    assert sorted([one[name] for name in columns] for one in other) == sorted(
        [one[name] for name in columns] for one in exams
    )


def test_results_contain_no_identity(score: Score, archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.parquet"
    done = score(archive, out)
    told = {"file", "path", "/"}
    for path in [*out.glob("*.parquet"), out / "_run.json"]:
        content = path.read_bytes() if path.suffix == ".json" else repr(_table(path).to_pylist()).encode()
        for secret in (b"Secretname", b"ID-47", b"1.2.826.0.9", b"20260105", b"holiday"):
            assert secret not in content, (path, secret)
    assert "Secretname" not in done.output
    names = _table(next(out.glob("part-*.parquet"))).column_names
    assert not told & set(names)
    patients = {row["patient"] for row in rows_of(out)} - {None}
    assert len(patients) == 2 and all(patient.startswith("P-") for patient in patients)
    assert (out / "_failures.csv").stat().st_mode & 0o077 == 0


def _table(path: Path) -> pyarrow.Table:
    return parquet.ParquetFile(path).read()


def test_a_second_run_scores_only_what_is_missing(score: Score, archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.parquet"
    score(archive, out, "--files", "4")
    parts = sorted(out.glob("part-*.parquet"))
    before, whole = {part: part.stat().st_mtime_ns for part in parts}, rows_of(out)
    parts[1].unlink()
    done = score(archive, out, "--files", "4")
    assert "12 of 16" in done.output and rows_of(out) == whole
    assert [part for part in parts if part.stat().st_mtime_ns != before[part]] == [parts[1]]
    assert " of 16" not in score(archive, out, "--files", "4").output  # no process was started


def test_a_changed_archive_model_or_option_is_refused(
    score: Score, app: Flask, archive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results.parquet"
    score(archive, out, "--files", "4")
    whole = rows_of(out)
    done = score(archive, out, "--files", "5", status=1)
    assert "files of a partition was 4, now 5" in done.output
    os.utime(archive / "pictures/right.png", (1, 1))
    assert "The archive has changed" in score(archive, out, "--files", "4", status=1).output
    models = app.extensions["birads_settings"].models
    (models / "birads-demo").rename(models / "other")
    manifest = json.loads((models / "other" / "manifest.json").read_text())
    (models / "other" / "manifest.json").write_text(json.dumps({**manifest, "name": "other"}))
    registry.promote(models, "other")
    assert "model name was birads-demo, now other" in score(archive, out, "--files", "4", status=1).output
    assert rows_of(out) == whole


def test_a_folder_with_something_else_is_not_written_to(score: Score, archive: Path, tmp_path: Path) -> None:
    assert "no results of this command" in score(archive, archive, status=1).output


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_names_the_files(score: Score, archive: Path, tmp_path: Path, kind: str) -> None:
    names = ["pictures/right.png", "pictures/left_cc.png", "missing.png"]
    table = archive / f"list.{kind}"
    if kind == "csv":
        with table.open("w", newline="") as stream:
            csv.writer(stream, delimiter=";").writerows(
                [["Label", "File name"], *(["2", one] for one in names)]
            )
    else:
        parquet.write_table(pyarrow.table({"Label": [2, 2, 2], "File name": names}), table)
    out = tmp_path / "results.parquet"
    score(table, out, "--paths")
    assert sorted(row["path"] for row in rows_of(out)) == sorted(names)
    assert failures_of(out) == {"missing.png": "file-unreadable"}
    table.write_bytes(b"Label\n2\n" if kind == "csv" else b"PAR1 or not")
    said = score(table, tmp_path / "other", status=1).output
    assert ("no column of paths" if kind == "csv" else "no Parquet table") in said


def test_a_query_fetches_studies(
    score: Score, app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects: dict[str, dict[str, bytes]] = {}
    for patient in (1, 2, 3):
        study = f"1.2.826.0.9.{patient}"
        objects[study] = {f"{study}.{view}": b"" for view in (1, 2)}
        for uid, view in zip(list(objects[study]), ("CC", "MLO"), strict=True):
            objects[study][uid] = _with_uid(patient_file(patient, "L", view), uid)
    served = Archive(objects, failing={"1.2.826.0.9.3.2": 500})
    out = tmp_path / "results.parquet"
    with http_server(lambda path, _: served.answer(path)) as url:
        settings = app.extensions["birads_settings"].model_copy(update={"pacs_dicomweb_url": url})
        monkeypatch.setitem(app.extensions, "birads_settings", settings)
        done = score("dicomweb:StudyDate=20260101-20260131", out)
        assert "3 studies scored, 3 exams; unusable: 1 file." in done.output
        assert len([row for row in rows_of(out) if row["category"]]) == 5
        assert failures_of(out) == {"1.2.826.0.9.3": "fetch-incomplete"}
        assert "Got 'PatientID=4'" in score("dicomweb:PatientID=4", out, status=1).output
        served.failing["list 1.2.826.0.9.1"] = 503  # an outage is no property of the archive
        score("dicomweb:StudyDate=20260101-20260131", tmp_path / "other", status=1)
        assert not list((tmp_path / "other").glob("part-*"))


def _with_uid(data: bytes, uid: str) -> bytes:
    import io

    from pydicom import dcmread

    from tests.support.factories import dicom_bytes

    made = dcmread(io.BytesIO(data))
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = uid
    return dicom_bytes(made)


def test_a_name_that_is_no_unicode_is_listed(score: Score, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    (Path(os.fsdecode(bytes(folder) + b"/gr\xfcn.png"))).write_bytes(mammogram_png())
    (Path(os.fsdecode(bytes(folder) + b"/l\xe4uft.png"))).write_bytes(b"\x89PNG\r\n\x1a\n")
    out = tmp_path / "results.parquet"
    score(folder, out, "--paths")
    assert [row["path"] for row in rows_of(out) if row["category"]] == ["gr?n.png"]
    assert b"l\xe4uft.png" in (out / "_failures.csv").read_bytes()


def test_missing_sources_and_schedulers_are_named(score: Score, archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.parquet"
    assert "neither a folder nor a table" in score(tmp_path / "nowhere", out, status=1).output
    assert "No DICOMweb server is configured" in score("dicomweb:StudyDate=20260101", out, status=1).output
    refused = score(archive, out, "--processes", "2", status=2)
    assert "--processes is for work without --scheduler" in refused.output
    said = score(archive, out, on="nonsense://x", status=1).output
    assert "No scheduler answers at nonsense://x" in said
