"""Label tables, patient tables and tables of outcomes as spreadsheets, databases and people write them."""

import unicodedata
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from flask import Flask

from birads_app.practice import outcome_table
from birads_app.terms.spelling import parse_category, parse_side
from tests.support.factories import make_user
from tests.support.signed_exams import store_signed_exam
from training.data.dataset import listing, read, read_folder
from training.data.patient_ids import normalise
from training.errors import DatasetError

Rows = list[list[str]]
Writer = Callable[[Rows], bytes]


def _joined(rows: Rows, delimiter: str) -> str:
    return "".join(delimiter.join(row) + "\r\n" for row in rows)


WRITERS: dict[str, Writer] = {
    "comma": lambda rows: _joined(rows, ",").encode(),
    "semicolon": lambda rows: _joined(rows, ";").encode(),
    "tab": lambda rows: _joined(rows, "\t").encode(),
    "UTF-8 with mark": lambda rows: _joined(rows, ";").encode("utf-8-sig"),
    "UTF-16": lambda rows: _joined(rows, "\t").encode("utf-16"),
    "UTF-16 big endian with mark": lambda rows: b"\xfe\xff" + _joined(rows, ";").encode("utf-16-be"),
    "UTF-16 without mark": lambda rows: _joined(rows, ";").encode("utf-16-le"),
    "Windows-1252": lambda rows: _joined(rows, ";").encode("cp1252"),
    "sep= line": lambda rows: ("sep=;\r\n" + _joined(rows, ";")).encode("utf-8-sig"),
    "sep= line, quoted": lambda rows: ('"sep=|"\r\n' + _joined(rows, "|")).encode(),
    "blank lines": lambda rows: _joined(rows, ",").replace("\r\n", "\n\n").encode(),
}
BROKEN = {
    "quotation mark is not closed": b'path,birads,patient,exam,outcome\n"a,1,P,x,benign\nb,2,Q,y,benign\n',
    "not a text table": b"path,birads\n\x00\x01\x02\x00\x00\x00\x05",
    "spreadsheet file": b"PK\x03\x04rest of a workbook",
    "is empty": b" \r\n",
    "Line 2 has 7 cells": b"path,birads,patient,exam,outcome\na,1,P,x,benign,more,cells\n",
    "occurs twice": b"path,birads,patient,exam,outcome,Path,Exam,Patient\na,1,P,x,benign,b,y,Q\n",
}


@pytest.fixture(params=WRITERS)
def written(request: pytest.FixtureRequest) -> Writer:
    return WRITERS[request.param]


def images(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def test_a_label_table_is_read_in_every_format(tmp_path: Path, written: Writer) -> None:
    images(tmp_path, "ä/1.png", "ä/2.png", "b/3.png", "b/4.png")
    rows = [
        ["image_path", "BI-RADS category", "Patient ID"],
        ["ä/1.png", "BI-RADS: 1", "Jörg"],
        ["ä/2.png", "1 - negative", "jörg "],
        ["b/3.png", "4 (B)", "007"],
        ["b/4.png", "ACR 4", "7"],
    ]
    table = tmp_path / "labels.csv"
    table.write_bytes(written(rows))
    found = listing(table)
    assert not found.problems
    assert [example.category for example in found.dataset.examples] == ["1", "1", "4", "4"]
    assert found.dataset.patients == ("Jörg", "Jörg", "007", "007")
    assert all(example.known for example in found.dataset.examples)
    assert any("4 patient IDs" in note and "merged into 2" in note for note in found.notes)


def test_a_patient_table_is_read_in_every_format(tmp_path: Path, written: Writer) -> None:
    images(tmp_path, "1/ä.png", "1/b.png", "4/c.png", "4/d.png")
    rows = [
        ["File name", "Patient ID"],
        ["1/ä.png", "P01"],
        ["1/b.png", "p1"],
        ["c.png", "P 2"],
        ["4/d.png", "P3"],
    ]
    (tmp_path / "truth.csv").write_bytes(written(rows))
    found = listing(tmp_path)
    assert sorted(found.dataset.patients) == ["P 2", "P3", "p1", "p1"]
    assert any("2 patient IDs" in note and "merged into 1" in note for note in found.notes)


def test_an_outcome_table_is_read_in_every_format(app: Flask, written: Writer) -> None:
    make_user(app)
    exam = store_signed_exam(app, "4")
    rows = [["Exam ID", "Seite", "Outcome", "Date"], [exam, "links", "bösartig", "2026-03-20"]]
    with app.test_request_context():
        plan = outcome_table.plan(written(rows))
    assert not plan.problems
    (entry,) = plan.entries
    assert (entry.exam_id, entry.laterality, entry.malignant, entry.on) == (
        exam,
        "L",
        True,
        date(2026, 3, 20),
    )


@pytest.mark.parametrize(("reason", "content"), BROKEN.items(), ids=BROKEN)
def test_a_broken_table_is_reported_with_the_reason(
    app: Flask, tmp_path: Path, reason: str, content: bytes
) -> None:
    table = tmp_path / "labels.csv"
    table.write_bytes(content)
    with pytest.raises(DatasetError, match=f"labels.csv cannot be used: .*{reason}"):
        read(table)
    with pytest.raises(DatasetError, match=f"labels.csv cannot be used: .*{reason}"):
        read(tmp_path)
    images(tmp_path, "1/a.png", "1/b.png", "2/a.png", "2/b.png")
    with pytest.raises(DatasetError, match=f"labels.csv cannot be used: .*{reason}"):
        read_folder(tmp_path)
    with app.test_request_context():
        (problem,) = outcome_table.plan(content).problems
    assert reason in problem.message


def test_other_tables_in_the_image_folder_are_reported(tmp_path: Path) -> None:
    images(tmp_path, "1/a.png", "1/b.png", "2/a.png", "2/b.png")
    (tmp_path / "devices.csv").write_text("device,room\nA,1\n")
    assert listing(tmp_path).notes == ("devices.csv is not used: it has no columns path and patient.",)


def test_an_image_with_two_patients_is_refused(tmp_path: Path) -> None:
    images(tmp_path, "1/a.png", "1/b.png", "2/a.png", "2/b.png")
    (tmp_path / "truth.csv").write_text("path,patient\n1/a.png,Anna\n./1/a.png,Berta\n")
    with pytest.raises(DatasetError, match="truth.csv, line 3: 1/a.png has another patient"):
        listing(tmp_path)


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("listed", ["NFC", "NFD"])
def test_file_names_are_compared_in_nfc(tmp_path: Path, stored: str, listed: str) -> None:
    names = ["Müller/ö.png", "Müller/é.png", "b/ü.png", "b/å.png"]
    images(tmp_path, *(unicodedata.normalize(stored, name) for name in names))
    table = tmp_path / "labels.csv"
    lines = [f"{name},{1 if 'M' in name else 5},P{number}" for number, name in enumerate(names)]
    table.write_text(unicodedata.normalize(listed, "\n".join(["path,birads,patient", *lines])), "utf-8")
    found = listing(table)
    assert not found.problems and found.dataset.patients == ("P0", "P1", "P2", "P3")


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_patients_are_found_in_nfc_and_nfd(tmp_path: Path, stored: str) -> None:
    names = ["1/ä.png", "1/ö.png", "4/ü.png", "4/å.png"]
    images(tmp_path, *(unicodedata.normalize(stored, name) for name in names))
    other = {"NFC": "NFD", "NFD": "NFC"}[stored]
    lines = "".join(f"{unicodedata.normalize(other, name)};P{number}\n" for number, name in enumerate(names))
    (tmp_path / "truth.csv").write_text("path;patient\n" + lines, "utf-8")
    assert sorted(read_folder(tmp_path).patients) == ["P0", "P1", "P2", "P3"]


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("4 (B)", "4"), ("BI-RADS: 4", "4"), ("ACR 4", "4"), ("4 - suspicious", "4"), ("4.0", "4"), ("4,0", "4"),
        ("ACR BI-RADS® 4", "4"), ("5 – highly suggestive of malignancy", "5"), ("2 (benign)", "2"),
        ("BI-RADS Category 3: Probably benign", "3"), ("0 - incomplete", "0"), ("1 = negative", "1"),
        ("6 - known biopsy-proven malignancy", "6"), ("4a (low suspicion)", "4"), ("Kategorie 4", "4"), ("4 [C]", "4"),
        ("４", "4"), ("  BIRADS_2 ", "2"), ("4 suspicious", "4"), ("2, gutartig", "2"),
    ],
)  # fmt: skip
def test_common_spellings_of_categories_are_read(text: str, category: str) -> None:
    assert parse_category(text) == category


@pytest.mark.parametrize(
    "text",
    [
        "2 - suspicious",
        "1 - malignant",
        "4 - old",
        "4/5",
        "4, 5",
        "1|2",
        "B4",
        "ACR B",
        "4abc",
        "10",
        "v4",
        "-1",
        "",
        "benign",
    ],
)  # fmt: skip
def test_text_that_is_not_one_category_is_refused(text: str) -> None:
    assert parse_category(text) is None


def test_common_spellings_of_sides_and_patient_ids_are_read() -> None:
    assert [parse_side(text) for text in ("L", "left", "Left breast", "rechts", "R.", "B", "")] == [
        "L", "L", "L", "R", "R", None, None,
    ]  # fmt: skip
    assert len({normalise(text) for text in ("P007", "p7", " P 07", "Ｐ７")}) == 1
    assert len({normalise(text) for text in ("P70", "P7", "P700", "Q7", "0", "10")}) == 6
