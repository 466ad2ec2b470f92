"""Location in the breast: agreement of side, quadrant and clock face.

The clock face is that of an examiner who faces the patient: 9 o'clock is lateral in the right breast and medial in the
left. Hours between two quadrants (12, 3, 6, 9) belong to both.
"""

from birads_app.terms.lexicon import SIDES
from birads_app.terms.messages import Message, msg

_UPPER_RIGHT, _UPPER_LEFT = (12, 1, 2, 3), (9, 10, 11, 12)  # as the examiner sees them
_LOWER_RIGHT, _LOWER_LEFT = (3, 4, 5, 6), (6, 7, 8, 9)

# Hours of the clock face that lie in a region, by side; other regions have no hours of their own.
HOURS: dict[str, dict[str, tuple[int, ...]]] = {
    "R": {
        "upper-outer": _UPPER_LEFT,
        "upper-inner": _UPPER_RIGHT,
        "lower-outer": _LOWER_LEFT,
        "lower-inner": _LOWER_RIGHT,
        "axillary-tail": _UPPER_LEFT,
    },
    "L": {
        "upper-outer": _UPPER_RIGHT,
        "upper-inner": _UPPER_LEFT,
        "lower-outer": _LOWER_RIGHT,
        "lower-inner": _LOWER_LEFT,
        "axillary-tail": _UPPER_RIGHT,
    },
}


def contradiction(number: int, side: str | None, region: str | None, clock: int | None) -> Message | None:
    """Return a message if side, quadrant and clock face of a finding cannot all be right, else None.

    Without a side, the quadrant and the clock face contradict each other only if they do so in both breasts.

    Parameters
    ----------
    number : of the finding, from 1
    """
    sides = [side] if side else list(SIDES)
    fitting = [HOURS[each].get(region or "") for each in sides]
    if clock is None or any(hours is None or clock in hours for hours in fitting):
        return None
    hours = ", ".join(f"{hours[0]}–{hours[-1]}" for hours in fitting if hours)
    return msg("location-contradictory", number=number, clock=clock, hours=hours)
