"""Agreement of side, quadrant and clock face."""

import pytest

from birads_app.terms.breast_location import HOURS, contradiction
from birads_app.terms.lexicon import CLOCK


@pytest.mark.parametrize(
    ("side", "region", "hours"),
    [
        ("R", "upper-outer", (9, 10, 11, 12)),
        ("L", "upper-outer", (12, 1, 2, 3)),
        ("R", "lower-inner", (3, 4, 5, 6)),
        ("L", "lower-inner", (6, 7, 8, 9)),
        ("L", "axillary-tail", (12, 1, 2, 3)),
    ],
)
def test_each_quadrant_has_its_hours(side: str, region: str, hours: tuple[int, ...]) -> None:
    assert [clock for clock in CLOCK if contradiction(1, side, region, clock) is None] == sorted(hours)


def test_the_breasts_mirror_each_other() -> None:
    for region, hours in HOURS["R"].items():
        assert {12 - hour or 12 for hour in hours} == set(HOURS["L"][region])


def test_only_a_stated_contradiction_is_one() -> None:
    assert contradiction(1, "R", "central", 3) is None
    assert contradiction(1, "R", None, 3) is None and contradiction(1, "R", "upper-inner", None) is None
    assert contradiction(1, None, "upper-outer", 2) is None
    problem = contradiction(2, None, "upper-outer", 6)
    assert problem is not None and "Finding 2: 6 o’clock" in problem and "9–12, 12–3" in problem
