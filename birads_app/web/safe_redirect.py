"""Redirect targets within this site."""

from urllib.parse import urlsplit


def safe_target(target: str | None) -> str | None:
    """Return the target if it is a path of this site, else None.

    Browsers drop tabs and line ends and take a backslash for a slash, so that both could hide another host.
    """
    if not target or not target.startswith("/") or target.startswith("//") or "\\" in target:
        return None
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in target):
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc else target
