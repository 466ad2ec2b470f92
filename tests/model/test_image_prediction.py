"""The answer for one image has one shape, which its JSON and the JSON's schema follow."""

import json
from dataclasses import fields, replace

import pytest
from jsonschema import Draft202012Validator, ValidationError

from birads_app.model.image_prediction import SCHEMA, ImagePrediction
from birads_app.model.marks import Mark
from birads_app.terms.messages import msg

PREDICTION = ImagePrediction(
    "4", {"3": 0.2, "4": 0.7, "5": 0.1}, ("3", "4"), (msg("low-resolution", width=160, height=200),), 0.25,
    (Mark(0.25, 0.5, 0.0625, 0.03125, 0.75), Mark(1.0, 0.0, 0.0625, 0.03125, 0.5)),
)  # fmt: skip
OTHER = ImagePrediction("5", {"4": 0.3, "5": 0.7}, ("5",), ("Plain text.",))
BEFORE = {"category": "4", "probabilities": {"4": 1.0}, "possible": [], "warnings": []}


def test_the_json_is_read_back_and_matches_the_schema() -> None:
    written = json.dumps(PREDICTION.to_json())
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator({**SCHEMA, "additionalProperties": False}).validate(json.loads(written))
    assert ImagePrediction.from_json(json.loads(written)) == PREDICTION
    assert list(json.loads(written)["probabilities"]) == ["3", "4", "5"]


@pytest.mark.parametrize("name", [field.name for field in fields(ImagePrediction)])
def test_every_value_is_one_described_member_of_the_json(name: str) -> None:
    before, after = PREDICTION.to_json(), replace(PREDICTION, **{name: getattr(OTHER, name)}).to_json()
    (member,) = [member for member in before if before[member] != after[member]]
    assert SCHEMA["properties"][member]["description"] and member in SCHEMA["required"]
    assert len(before) == len(SCHEMA["properties"]) == len(fields(ImagePrediction))


@pytest.mark.parametrize(
    "change",
    [
        {"category": "7"},
        {"probabilities": {"4": 1.5}},
        {"possible": "4"},
        {"warnings": None},
        {"marks": [{"x": 0.5}]},
        {"marks": [dict.fromkeys(("x", "y", "width", "height", "score"), 1.5)]},
    ],
)
def test_the_schema_refuses_other_values(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(PREDICTION.to_json() | change)


def test_what_an_earlier_version_stored_has_neither_share_of_the_breast_nor_marks() -> None:
    stored = ImagePrediction.from_json(BEFORE)
    assert stored.breast_share is None and stored.marks == ()
    assert stored.to_json() == BEFORE | {"breast_share": None, "marks": []}
    Draft202012Validator(SCHEMA).validate(stored.to_json())


def test_members_of_other_versions_are_ignored() -> None:
    later = PREDICTION.to_json() | {"later": 1}
    later["marks"] = [mark | {"kind": "mass"} for mark in later["marks"]]
    assert ImagePrediction.from_json(later) == PREDICTION
