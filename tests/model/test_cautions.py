"""Reasons not to rely on a model."""

import pytest

from birads_app.model.cautions import ALARMS, FEWEST_PATIENTS, cautions, report_warnings

ENOUGH = {"all_patients": FEWEST_PATIENTS, "warnings": []}


@pytest.mark.parametrize(
    ("manifest", "record", "codes"),
    [
        ({}, ENOUGH, []),
        ({"demonstration": True}, {}, ["caution-demonstration"]),
        ({}, {**ENOUGH, "synthetic_images": 4}, ["caution-synthetic"]),
        ({"training": {"data": "/data/instance/cache/phantoms/50-patients"}}, ENOUGH, ["caution-synthetic"]),
        ({"training": {"phantom_patients": 250}}, ENOUGH, ["caution-synthetic"]),
        ({"training": {"data": "/srv/phantoms"}}, ENOUGH, []),
        ({}, {"all_patients": FEWEST_PATIENTS - 1}, ["caution-few-patients"]),
        ({}, {}, ["caution-patients-unknown"]),
        ({}, {**ENOUGH, "warnings": ["THIS PROTOCOL LEAKS"]}, ["caution-report-warns"]),
        ({}, {**ENOUGH, "warnings": ["one", "two"]}, ["caution-report-warns"]),
        *(
            ({}, {**ENOUGH, "warnings": ["w"], "alarms": [{"kind": kind, "text": "w"}]}, [message.code])
            for kind, message in ALARMS.items()
        ),
        (
            {},
            {**ENOUGH, "warnings": ["w", "more"], "alarms": [{"kind": "leak", "text": "w"}]},
            ["caution-leak", "caution-report-warns"],
        ),
    ],
)
def test_each_reason_is_found(manifest: dict, record: dict, codes: list[str]) -> None:
    assert [caution.code for caution in cautions(manifest, record)] == codes


def test_a_record_of_an_unknown_form_has_no_warnings() -> None:
    assert report_warnings({"warnings": "none"}) == []
