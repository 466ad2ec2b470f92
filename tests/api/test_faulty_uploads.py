"""Faulty files through the API, de-identified: the answer is the sound file's, and a warning names the fault."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.model.predictor import ModelSource
from birads_app.terms.catalogue import TEXTS
from tests.support import contradictory_headers, faulty_files
from tests.support.factories import make_token, post_files

CASES = dict(
    [
        *faulty_files.codestreams(),
        *faulty_files.encodings(),
        *contradictory_headers.tables(),
        *contradictory_headers.stored(),
        *contradictory_headers.presentation(),
    ]
)


@pytest.fixture(scope="module")
def source(tiny_models) -> ModelSource:
    """A tiny model, loaded once."""
    return ModelSource(tiny_models)


@pytest.mark.parametrize("name", CASES)
def test_the_prediction_equals_that_of_the_valid_file(
    app: Flask, client: FlaskClient, source: ModelSource, name: str
) -> None:
    app.extensions["birads_models"] = source
    token, pair = make_token(app), CASES[name]
    faulty = post_files(client, token, ("a.dcm", pair.faulty))
    sound = post_files(client, token, ("a.dcm", pair.sound))
    assert faulty.status_code == sound.status_code == 201, faulty.text
    (one,), (other,) = faulty.json["images"], sound.json["images"]
    differing = {key for key in one if one[key] != other[key]}
    assert differing <= {"warnings", "id"}
    more = [text for text in one["warnings"] if text not in other["warnings"]]
    assert len(more) == (pair.note is not None)
    assert all(text[:20] == TEXTS[pair.note][:20] for text in more)
