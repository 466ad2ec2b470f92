"""Special views and other images are named, and left out of the breast's prediction, through the API."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.factories import breast, dicom, dicom_bytes, post_files
from tests.support.view_headers import CC, DISTANCES, coded, local


def image(seed: int, **elements: object) -> bytes:
    built = dicom(breast(seed=seed))
    built.StudyInstanceUID = "1.2.3.4"
    for keyword, value in elements.items():
        setattr(built, keyword, value)
    return dicom_bytes(built)


def answered(client: FlaskClient, token: str, *files: bytes) -> dict:
    answer = post_files(client, token, *((f"{number}.dcm", data) for number, data in enumerate(files)))
    assert answer.status_code == 201, answer.text
    return answer.json


@pytest.mark.parametrize(
    ("elements", "role", "named"),
    [
        ({"ViewPosition": "CC SPOT"}, "special", "spot compression"),
        ({"ViewPosition": "CC SPOT MAGNIF"}, "special", "magnification"),
        (coded(CC, local("Spot Compression")), "special", "spot compression"),
        (coded("127457009") | {"ViewPosition": ""}, "other", "specimen"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "", "TOMO_PROJ"]}, "other", "tomosynthesis projection"),
        ({"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"]}, "other", "subtraction"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "other", "FOR PROCESSING"),
        (DISTANCES, "special", "magnification"),
        ({"ViewPosition": "SONDER"}, "unknown", "not recognised"),
    ],
)
def test_it_is_named_and_left_out(
    serving_app: Flask, client: FlaskClient, token: str, elements: dict[str, object], role: str, named: str
) -> None:
    alone = answered(client, token, image(2, StudyInstanceUID="1.2.3.5"))
    both = answered(client, token, image(2), image(3, **elements))
    standard, apart = both["images"]
    assert (standard["role"], apart["role"]) == ("standard", role)
    assert any(named in warning for warning in apart["warnings"])
    assert both["exam"]["left_out"] == 1
    assert both["exam"]["breasts"] == alone["exam"]["breasts"]


@pytest.mark.parametrize(
    "elements",
    [
        {"ViewPosition": "RCC"},
        {"SeriesDescription": "R CC"},
        {"AcquisitionDeviceProcessingDescription": "R CC"},
    ],
)
def test_side_and_view_from_words(
    serving_app: Flask, client: FlaskClient, token: str, elements: dict[str, object]
) -> None:
    data = image(1, **{"ImageLaterality": "", "ViewPosition": "", **elements})
    (found,) = answered(client, token, data)["images"]
    assert (found["laterality"], found["view"], found["role"]) == ("R", "CC", "standard")


def test_contradictions_are_named(serving_app: Flask, client: FlaskClient, token: str) -> None:
    data = image(1, ViewPosition="MLO", **coded(CC))
    answer = answered(client, token, data)
    (found,) = answer["images"]
    assert (found["view"], found["role"], answer["exam"]) == (None, "unknown", None)
    assert any("contradict" in warning for warning in found["warnings"])
