"""``flask dataset check``: content, problems, exit status."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.imaging.decode import decode
from birads_app.model import preprocess
from tests.support import dicom_files
from tests.support.factories import breast
from training.cli.commands import register
from training.data.perceptual_hash import MAX_DISTANCE, compute, near_pairs


@pytest.fixture
def check(app: Flask, runner: FlaskCliRunner, tmp_path: Path):
    register(app)

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
    assert f"Birads1/{one.name}" in copy["files"] and "PH9001" in copy["patients"] and copy["bits"] is None
    assert set(pair["files"]) == {f"Birads1/{two.name}", "Birads5/PH9002_L_CC.jpg"}
    assert pair["bits"] <= MAX_DISTANCE and set(pair["categories"]) == {"1", "5"}
    assert "2 groups of identical or nearly identical images belong to different patients" in output
    assert "1 groups of identical or nearly identical images have different categories" in output


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
    for name, elements in zip(names, headers, strict=True):
        (tmp_path / name).write_bytes(dicom_files.mammogram(breast(200, 160, len(name)), **elements))
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
    output, _ = check(copies, "--classes", "1,6", status=1)
    assert "no images of category 6" in output


def test_a_set_of_damaged_files_only_is_refused(check, tmp_path: Path) -> None:
    for category in "12":
        (tmp_path / "bad" / category).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "bad" / category / f"{number}.png").write_text(category * (number + 1))
    assert "None of the 4 files can be used" in check(tmp_path / "bad", status=1)[0]


def test_banding_finds_exactly_the_near_duplicates(phantoms: Path) -> None:
    paths = sorted(phantoms.glob("*/*.png"))[:12]
    pictures = [
        preprocess.prepare(decode(path.read_bytes(), path.name), preprocess.DEFAULT_SIZE).grey
        for path in paths
    ]
    looks = np.array([np.frombuffer(compute(grey), np.uint8) for grey in pictures])
    assert not list(near_pairs(looks))
    rng = np.random.default_rng(0)
    for flips in range(16):
        other = np.unpackbits(looks[0])
        other[rng.choice(len(other), flips, replace=False)] ^= 1
        assert list(near_pairs(np.vstack([looks, np.packbits(other)]))) == [(0, 12, flips)]


def test_near_duplicates_are_found_among_a_hundred_thousand_images() -> None:
    """A tenth of the pictures agree in a band, as low frequencies of mammograms do."""
    rng = np.random.default_rng(0)
    looks = rng.integers(0, 256, (100_000, 32), np.uint8)
    looks[::10, :2] = 7
    looks[70_000], looks[20], looks[90_001] = looks[10], looks[10], looks[90_000]
    looks[70_000, 0] ^= 1
    looks[20, 31] ^= 6
    assert list(near_pairs(looks)) == [(10, 20, 2), (10, 70_000, 1), (20, 70_000, 3), (90_000, 90_001, 0)]
