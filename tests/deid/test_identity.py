"""Names in character sets that are not declared, or wrongly."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.deid.identity import patient_key, read_identity
from birads_app.imaging.dicom import parser
from birads_app.records import exams, identities
from tests.support import faulty_files
from tests.support.factories import make_token, post_files

NAME = "Šumi-Müller^Zoë"


def file_with(name: bytes, declared: str | None, study: bytes = b"") -> bytes:
    """A file whose patient's name and study description are the given bytes."""
    marks = "N" * (len(name) + len(name) % 2), "S" * (len(study) + len(study) % 2)
    data = faulty_files.plain(
        PatientName=marks[0],
        StudyDescription=marks[1],
        **({"SpecificCharacterSet": declared} if declared else {}),
    )
    for mark, value in zip(marks, (name, study), strict=True):
        data = data.replace(mark.encode(), value + b" " * (len(value) % 2)) if mark else data
    return data


@pytest.mark.parametrize("declared", [None, "ISO_IR 6", "ISO_IR 100", "ISO_IR 192"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_the_encoding_of_a_name_is_detected(declared: str | None, encoding: str) -> None:
    data = file_with(NAME.encode(encoding), declared, "Früherkennung, Größe".encode(encoding))
    found = read_identity(parser.parse(data).dataset)
    assert (found.patient_name, found.study_description) == (NAME, "Früherkennung, Größe")


@pytest.mark.parametrize(
    ("name", "encoding", "declared"),
    [
        ("Müller^Zoë", "latin-1", None),
        ("Müller^Zoë", "latin-1", "ISO_IR 100"),
        ("Люкceмбypг", "iso8859-5", "ISO_IR 144"),
        ("Διονυσιος", "iso8859-7", "ISO_IR 126"),
        ("王^小东", "gb18030", "GB18030"),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ", "shift_jis", "ISO_IR 13"),
        ("Yamada^Tarou", "ascii", None),
    ],
)
def test_declared_character_sets_are_applied(name: str, encoding: str, declared: str | None) -> None:
    assert (
        read_identity(parser.parse(file_with(name.encode(encoding), declared)).dataset).patient_name == name
    )


@pytest.mark.parametrize("declared", ["ISO_IR 144", "ISO_IR 101", "ISO_IR 126", "ISO_IR 999", "LATIN9"])
def test_utf_8_is_detected_under_any_single_byte_character_set(declared: str) -> None:
    for name in (NAME, "Иванова^Анна", "王^小东"):
        data = file_with(name.encode(), declared)
        assert read_identity(parser.parse(data).dataset).patient_name == name


def test_one_patient_is_the_same_in_both_encodings() -> None:
    utf_8, latin_1 = (
        read_identity(parser.parse(file_with(NAME.encode(encoding), None)).dataset)
        for encoding in ("utf-8", "cp1252")
    )
    assert patient_key(utf_8) == patient_key(latin_1)


@pytest.mark.usefixtures("serving_app")
def test_the_exam_has_the_readable_name(app: Flask, client: FlaskClient) -> None:
    answer = post_files(client, make_token(app), ("a.dcm", file_with(NAME.encode(), None)))
    with app.app_context():
        assert identities.of(exams.get(answer.json["id"])).patient_name == NAME
