"""Dates and times of headers (VR DA and TM), as text."""

import re
from datetime import date

# The standard's form, and those with separators: of the standard before 1993, and of other systems.
_DATE = re.compile(r"(\d{4})([-.]?)(\d{2})\2(\d{2})", re.ASCII)


def parse_date(text: str) -> date | None:
    """Parse a date such as ``20260131`` or ``2026.01.31``; None if it is not valid."""
    match = _DATE.fullmatch(text)
    try:
        return date(int(match[1]), int(match[3]), int(match[4])) if match else None
    except ValueError:
        return None


def digits(text: str) -> str:
    """Return the digits of a date or time, to compare it; empty if they are all zero."""
    found = "".join(filter(str.isdigit, text))
    return found if found.strip("0") else ""
