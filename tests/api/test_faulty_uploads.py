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
