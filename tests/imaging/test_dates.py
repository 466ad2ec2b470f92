"""Dates of headers are parsed in one way everywhere."""

from datetime import date

import pytest

from birads_app.imaging.dicom.dates import digits, parse_date


@pytest.mark.parametrize("text", ["20240229", "2024.02.29", "2024-02-29"])
def test_a_date_may_have_separators(text: str) -> None:
    assert parse_date(text) == date(2024, 2, 29)
    assert digits(text) == "20240229"


@pytest.mark.parametrize("text", ["", "20230229", "2024W011", "2024-0229", "202402", "00000000", "20240229 "])
def test_anything_else_is_no_date(text: str) -> None:
    assert parse_date(text) is None


def test_digits_that_are_all_zero_state_nothing() -> None:
    assert digits("0000.00.00") == "" and digits("101400.5") == "1014005"
