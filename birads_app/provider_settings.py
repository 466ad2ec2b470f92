"""Readers of the identity provider's settings."""

from urllib.parse import urlsplit


def is_safe_address(address: str) -> bool:
    """Return True for an address under https, or on this machine under http."""
    parts = urlsplit(address)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and local))


def read_issuer(text: str) -> str:
    """Read the address of an OpenID Connect provider."""
    if not is_safe_address(text) or urlsplit(text).query:
        raise ValueError("an address that begins with https://")
    return text


def read_roles(text: str) -> tuple[tuple[str, str], ...]:
    """Read ROLE=GROUP, separated by commas."""
    entries = [entry.strip().partition("=") for entry in text.split(",") if entry.strip()]
    if any(role not in ("admin", "radiologist", "auditor") or not group for role, _, group in entries):
        raise ValueError("ROLE=GROUP, separated by commas, with the roles admin, radiologist and auditor")
    return tuple((role, group) for role, _, group in entries)
