"""Orientation of an image: proposed on the exam's page, set by a person, and recorded."""

import html
import io
import re

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from birads_app.records import database, exams
from birads_app.records.schema import Image
from tests.support.factories import breast, dicom, dicom_bytes, last_audit_entry

pytestmark = pytest.mark.usefixtures("serving_app")


def upload(reader: FlaskClient, **elements: object) -> str:
    """Upload a right breast with the chest wall on the left; return the exam's address."""
    dataset = dicom(np.ascontiguousarray(breast()))
    dataset.ImageLaterality, dataset.ViewPosition = "R", "CC"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    sent = [(io.BytesIO(dicom_bytes(dataset)), "one.dcm")]
    return reader.post("/upload", data={"files": sent}, content_type="multipart/form-data").location


def image_of(app: Flask, url: str) -> Image:
    with app.app_context():
        (image,) = exams.get(url.rsplit("/", 1)[-1]).images
        return image


def page(reader: FlaskClient, url: str) -> str:
    return html.unescape(reader.get(url).text)


def test_a_wrongly_turned_image_is_noticed_and_turned_by_a_person_on_record(
    serving_app: Flask, reader: FlaskClient
) -> None:
    url = upload(reader)
    before = page(reader, url)
    assert "The right way up? It would be usual turned by 180°." in before
    assert "does not seem to be the right way up" in before and "data-opened" not in before
    address = f"{url}/images/{image_of(serving_app, url).id}/orientation"
    answer = reader.post(address, data={"orientation": "2"}, follow_redirects=True)
    after = html.unescape(answer.text)
    assert "Orientation set." in after and 'data-opened="{"flipped": false, "turns": 2}"' in after
    assert "The right way up?" not in after and "does not seem" not in after
    assert re.search(r"Shown turned by 180°: set by \w+, \d\d? \w{3} \d{4}, \d\d:\d\d UTC\.", after)
    entry = last_audit_entry(serving_app)
    assert entry[1] == "set orientation" and entry[3] == "image 1: as stored -> turned by 180°"
    again = reader.post(address, data={"orientation": "2"}, follow_redirects=True).text
    assert "Nothing changed" in again
    assert reader.post(address, data={"orientation": "7"}).status_code == 422
    with (
        serving_app.app_context(),
        pytest.raises(IntegrityError, match="only added to"),
        database.writing() as db,
    ):
        db.execute(text("UPDATE orientation_corrections SET turns = 0"))


def test_an_image_can_be_left_as_it_is(serving_app: Flask, reader: FlaskClient) -> None:
    url = upload(reader)
    address = f"{url}/images/{image_of(serving_app, url).id}/orientation"
    left = html.unescape(reader.post(address, data={"orientation": "0"}, follow_redirects=True).text)
    assert "The right way up?" not in left and "Shown as stored: set by" in left


def test_patient_orientation_is_honoured_unless_the_image_contradicts_it(
    serving_app: Flask, reader: FlaskClient
) -> None:
    turned = page(reader, upload(reader, PatientOrientation=["A", "L"]))  # mirrored, by header and image
    assert 'data-opened="{"flipped": true, "turns": 0}"' in turned and "The right way up?" not in turned
    assert "By its Patient Orientation the image is shown mirrored." in turned
    contradictory = page(reader, upload(reader, PatientOrientation=["P", "R"], SOPInstanceUID="1.2.3"))
    assert "data-opened" not in contradictory and "The right way up?" in contradictory
