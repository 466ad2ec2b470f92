"""Keyed digests of patient IDs and accession numbers, by which exams are found while identities stay encrypted.

The key is that of pseudonyms, which stays when the site key changes.
"""

import hashlib
import hmac
from enum import StrEnum

from birads_app.records import site_keys


class IdentifierKind(StrEnum):
    """Kind of an identifier."""

    PATIENT_ID = "patient ID"
    ACCESSION_NUMBER = "accession number"


def digest(kind: IdentifierKind, value: str) -> str | None:
    """Return the digest of an identifier, 64 hexadecimal digits; None if it is empty."""
    return digest_with(site_keys.pseudonym_key(), kind, value)


def digest_with(key: str, kind: IdentifierKind, value: str) -> str | None:
    """Return the digest of an identifier under a given key of pseudonyms; None if it is empty."""
    plain = value.strip()
    if not plain:
        return None
    return hmac.new(key.encode(), f"identifier\0{kind}\0{plain}".encode(), hashlib.sha256).hexdigest()
