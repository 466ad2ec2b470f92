"""Faulty files through the API, de-identified: the answer is the sound file's, and a warning names the fault."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.terms.catalogue import TEXTS
from tests.support import contradictory_headers, faulty_files
from tests.support.factories import make_token, post_files
from tests.support.samples import one_of_each_kind

CASES = {**faulty_files.all_pairs(), **contradictory_headers.all_pairs()}


def kind(name: str) -> tuple[object, ...]:
    """Tell notes apart, and files that are read as a whole from those that are read by their header."""
    return CASES[name].note, name in faulty_files.all_pairs()


@pytest.mark.parametrize("name", one_of_each_kind(CASES, kind))
def test_the_prediction_equals_that_of_the_valid_file(
    serving_app: Flask, client: FlaskClient, name: str
) -> None:
    token, pair = make_token(serving_app), CASES[name]
    faulty = post_files(client, token, ("a.dcm", pair.faulty))
    sound = post_files(client, token, ("a.dcm", pair.sound))
    assert faulty.status_code == sound.status_code == 201, faulty.text
    (one,), (other,) = faulty.json["images"], sound.json["images"]
    differing = {key for key in one if one[key] != other[key]}
    assert differing <= {"warnings", "id"}
    more = [text for text in one["warnings"] if text not in other["warnings"]]
    assert len(more) == (pair.note is not None)
    assert all(text[:20] == TEXTS[pair.note][:20] for text in more)


@pytest.mark.parametrize("part", ["MAMMA", "UNKNOWN", "SENO", None])
def test_other_words_for_the_breast_are_accepted(
    serving_app: Flask, client: FlaskClient, part: str | None
) -> None:
    data = faulty_files.plain(Modality="CR", BodyPartExamined=part)
    answer = post_files(client, make_token(serving_app), ("a.dcm", data))
    assert answer.status_code == 201 and answer.json["images"][0]["warnings"] == _warnings(
        client, serving_app
    )


def _warnings(client: FlaskClient, app: Flask) -> list[str]:
    """Return the warnings about the same image with modality MG."""
    answer = post_files(client, make_token(app, "other"), ("a.dcm", faulty_files.plain()))
    return answer.json["images"][0]["warnings"]


def test_slices_and_private_frames_are_named(serving_app: Flask, client: FlaskClient) -> None:
    private = faulty_files.built(SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    del private.PixelData
    private.add_new(0x7E010010, "LO", "Vendor")
    private.add_new(0x7E011012, "OB", bytes(9000))
    files = {
        "single slice of a volume (CT Image Storage)": faulty_files.plain(
            SOPClassUID="1.2.840.10008.5.1.4.1.1.2"
        ),
        "only private elements of the manufacturer": faulty_files.dicom_files.as_bytes(private),
    }
    token = make_token(serving_app)
    for said, data in files.items():
        answer = post_files(client, token, ("a.dcm", data))
        assert 400 <= answer.status_code < 500 and said in answer.text and "cut off" not in answer.text
