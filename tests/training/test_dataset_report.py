"""``flask dataset check``: content, problems, exit status."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from tests.support import dicom_files
from tests.support.factories import breast
from training.cli.commands import register


@pytest.fixture
def check(app: Flask, runner: FlaskCliRunner, tmp_path: Path, cache: Path):
    register(app)
    instance = Path(app.extensions["birads_settings"].instance)
    instance.mkdir(parents=True, exist_ok=True)
    (instance / "cache").symlink_to(cache)

    def run(data: Path, *options: str, status: int = 0) -> tuple[str, dict]:
        out = tmp_path / "report.json"
        result = runner.invoke(args=["dataset", "check", str(data), "--out", str(out), *options])
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result.output, json.loads(out.read_text("utf-8")) if out.exists() else {}

    return run


def resaved(path: Path, target: Path) -> None:
    """Save a picture smaller, darker and as JPEG."""
    picture = cv2.resize(cv2.imread(str(path), 0), None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(target), (picture * 0.95).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 85])


def test_a_valid_set_has_no_problems(check, phantoms: Path) -> None:
    output, report = check(phantoms)
    assert "40 images of 10 patients" in output and "This data set can be trained on" in output
    assert sum(report["counts"].values()) == report["images"] == 40
    assert report["unknown"] == 0 and not report["problems"] and not report["refused"]
    assert not report["copies"] and not report["near"]
    assert report["views"] == {"L CC": 10, "L MLO": 10, "R CC": 10, "R MLO": 10}
    assert "Sides and views: L CC 10, L MLO 10" in output


def test_duplicates_and_near_duplicates_are_reported_across_patients(check, copies: Path) -> None:
    one, two, *_ = sorted((copies / "Birads1").glob("PH*"))
    shutil.copy(one, copies / "Birads1" / "PH9001_L_CC.png")
    resaved(two, copies / "Birads5" / "PH9002_L_CC.jpg")
    output, report = check(copies)
    (copy,), (pair,) = report["copies"], report["near"]
    assert (
        f"Birads1/{one.name}" in copy["files"] and "PH9001" in copy["patients"] and copy["similarity"] is None
    )
    assert set(pair["files"]) == {f"Birads1/{two.name}", "Birads5/PH9002_L_CC.jpg"}
    assert 0.75 < pair["similarity"] <= 1 and set(pair["categories"]) == {"1", "5"}
    assert "copies of one image belong to different patients (2 groups)." in output
    assert "identical or nearly identical images have different categories (1 group)." in output


def test_sides_and_views_come_from_table_header_and_file_name_in_this_order(check, tmp_path: Path) -> None:
    headers = (
        {"ImageLaterality": "R", "ViewPosition": "MLO"},
        {"ImageLaterality": "R", "ViewPosition": "MLO"},
        {"ImageLaterality": "R"},
        {},
        {},
    )
    names = ("P1_L_CC.dcm", "P2_1.dcm", "P3_L_CC.dcm", "P4_LMLO.dcm", "P5_1.dcm")
    cells = (",", "left,cc", ",", ",", ",")
    for seed, (name, elements) in enumerate(zip(names, headers, strict=True)):
        (tmp_path / name).write_bytes(dicom_files.mammogram(breast(200, 160, seed), **elements))
    rows = [
        f"{name},{1 + 4 * (n % 2)},{cell}" for n, (name, cell) in enumerate(zip(names, cells, strict=True))
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["path,birads,side,view", *rows]) + "\n")
    expected = {"L CC": 1, "L MLO": 1, "R CC": 1, "R MLO": 1, "unknown": 1}
    for _again in range(2):  # the second time from the cache
        assert check(tmp_path / "labels.csv")[1]["views"] == expected
    (tmp_path / "P4_LMLO.dcm").rename(tmp_path / "P4_R_CC.dcm")
    (tmp_path / "labels.csv").write_text((tmp_path / "labels.csv").read_text().replace("P4_LMLO", "P4_R_CC"))
    assert check(tmp_path / "labels.csv")[1]["views"]["R CC"] == 2


def test_unusable_files_are_listed(check, copies: Path) -> None:
    (copies / "Birads1" / "PH9999_L_CC.png").write_bytes(b"")
    (copies / "Birads2" / "PH9998_L_CC.dcm").write_text("no picture")
    output, report = check(copies)
    assert {file for file, _ in report["refused"]} == {"Birads1/PH9999_L_CC.png", "Birads2/PH9998_L_CC.dcm"}
    assert "2 files that cannot be used" in output


def test_unknown_patients_cause_a_warning_until_a_pattern_is_given(check, copies: Path) -> None:
    (copies / "truth.csv").unlink()
    for path in sorted(copies.glob("*/*.png")):
        path.rename(path.with_name(f"scan-{path.stem[2:6]}-{path.stem[7:]}.png"))
    output, report = check(copies)
    assert "WARNING: the patients of 40 of 40 images are unknown" in output
    assert report["unknown"] == 40 and any("are unknown" in line for line in report["warnings"])
    output, report = check(copies, "--patient-pattern", r"scan-(\d+)-")
    assert "WARNING: the patients" not in output and report["patients"] == 10


def test_categories_too_small_for_smote_are_named(check, copies: Path) -> None:
    for path in sorted((copies / "Birads3").iterdir())[3:]:
        path.unlink()
    output, report = check(copies)
    assert report["small"]["3"] == 3 and "category 3 has 3 images, too few for SMOTE" in output
    _, report = check(copies, "--smote-neighbours", "2")
    assert "3" not in report["small"]


def test_a_set_that_training_refuses_gives_exit_status_1(check, copies: Path) -> None:
    table = copies / "labels.csv"
    names = [path.relative_to(copies).as_posix() for path in sorted(copies.glob("*/*.png"))]
    rows = [f"{name},{name[6]}" for name in names]
    table.write_text("\n".join(["path,birads", *rows]) + "\n", "utf-8")
    _, report = check(table)
    assert report["images"] == 40 and report["unknown"] == 0
    table.write_text("\n".join(["path,birads", *rows, "lost.png,1", f"{names[0]},9"]) + "\n", "utf-8")
    output, report = check(table, status=1)
    assert "PROBLEM: labels.csv, line 42: there is no file lost.png." in output
    assert "This data set cannot be trained on." in output and len(report["problems"]) == 2
    (copies / "Birads4").rename(copies.parent / "elsewhere")
    output, _ = check(copies, "--classes", "1,4", status=1)
    assert "no images of category 4" in output


def test_a_set_of_damaged_files_only_is_refused(check, tmp_path: Path) -> None:
    for category in "12":
        (tmp_path / "bad" / category).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "bad" / category / f"{number}.png").write_text(category * (number + 1))
    assert "None of the 4 files can be used" in check(tmp_path / "bad", status=1)[0]


def test_a_set_whose_usable_files_are_too_few_is_refused_as_by_a_training(check, copies: Path) -> None:
    """The listing alone shows two images of category 1, and ten patients."""
    for path in sorted((copies / "Birads1").iterdir())[2:]:
        path.unlink()
    first, second = sorted((copies / "Birads1").iterdir())
    second.write_bytes(first.read_bytes())
    output, report = check(copies, status=1)
    assert report["problems"] == ["Category 1 has 1 image. Add images, or exclude it: --classes 2,3,4,5."]
    assert "This data set cannot be trained on." in output
    output, _ = check(copies, "--classes", "2,3,4,5", "--patient-pattern", "Birads")
    (copies / "truth.csv").unlink()
    output, report = check(copies, "--classes", "2,3", "--patient-pattern", "Birads.", status=1)
    assert report["problems"][0].startswith("The images come from 2 patients.")


def test_categories_0_and_6_are_left_out_by_name_and_refused_if_they_are_chosen(check, copies: Path) -> None:
    (copies / "Birads1").rename(copies / "Birads0")
    (copies / "Birads2").rename(copies / "Birads6")
    output, report = check(copies)
    assert report["left_out"] == {"0": 8, "6": 8} and set(report["counts"]) == {"3", "4", "5"}
    assert (
        "Left out: 8 images of category 0 (incomplete assessment) and 8 images of category 6 (known malignancy), "
        "which is no degree of suspicion."
    ) in output
    output, _ = check(copies, "--classes", "0,3", status=1)
    assert "Category 0 (incomplete assessment) cannot be trained on" in output
