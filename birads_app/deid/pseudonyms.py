"""Pseudonyms for patients, UIDs and dates: consistent within a site, meaningless without its key.

All are derived by HMAC-SHA-256 under one key, so that nothing but the key needs to be stored, and identifiers
cannot be guessed without it.
"""

import hashlib
import hmac
import uuid
from dataclasses import dataclass, field
from datetime import timedelta

from birads_app.deid.identity import patient_key
from birads_app.imaging.dicom.dates import parse_date
from birads_app.records import site_keys
from birads_app.records.identities import Identity

# Digits and capitals without those that are easily confused: I, L, O, U.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 8
_LONGEST_SHIFT = 3650  # days


@dataclass(frozen=True)
class Pseudonyms:
    """Pseudonyms of one site; ``key`` is its key of pseudonyms."""

    key: str = field(repr=False)

    def patient(self, identity: Identity) -> str:
        """Return a patient's pseudonym, such as ``P-7F3K-9Q2X``: 40 bits."""
        number = int.from_bytes(self._digest("patient", *patient_key(identity))[:5], "big")
        letters = "".join(_LETTERS[number >> 5 * place & 31] for place in range(_LENGTH))
        return f"P-{letters[:4]}-{letters[4:]}"

    def uid(self, original: str) -> str:
        """Return the UID that replaces another one, below 2.25 (PS3.5 B.2)."""
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', original)[:16], version=4).int}"

    def date(self, original: str, identity: Identity) -> str:
        """Shift a date back by 1 to 3650 days, depending on the patient; return it as YYYYMMDD, "" if it is none.

        All dates of a patient are shifted equally, so that intervals between exams are preserved.
        """
        number = int.from_bytes(self._digest("dates", *patient_key(identity))[:8], "big")
        day = parse_date(original)
        if day is None:
            return ""
        try:
            moved = day - timedelta(days=1 + number % _LONGEST_SHIFT)
        except OverflowError:
            return ""
        return f"{moved.year:04}{moved:%m%d}"

    def _digest(self, *parts: str) -> bytes:
        return hmac.digest(self.key.encode(), "\0".join(parts).encode(), hashlib.sha256)


def site_pseudonyms() -> Pseudonyms:
    """Return the pseudonyms of the running application; raise SiteKeyDiffers as :func:`site_keys.pseudonym_key`."""
    return Pseudonyms(site_keys.pseudonym_key())
