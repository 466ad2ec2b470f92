"""Growing pauses between the attempts of a job."""

from datetime import timedelta

LONGEST = timedelta(hours=1)


def pause(first: timedelta, repeated: int) -> timedelta:
    """Return the first pause, doubled as many times as it is repeated, up to an hour."""
    return min(LONGEST, first * 2 ** min(repeated, 20))
