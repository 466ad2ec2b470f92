"""Digest that is stored in place of a random secret."""

import hashlib


def digest(secret: str) -> str:
    """Return the SHA-256 of a token or a session's id, which suffices because these are random."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
