"""Stand-ins for identifiers: the same for the same patient and study at one site, meaningless without its key.

Everything is an HMAC-SHA-256 under the site key, so that nothing but the key has to be kept and nobody without
it can try out identifiers.
"""

import hashlib
import hmac
import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta

from birads_app.deid.identity import patient_key
from birads_app.records.identities import Identity

# Digits and capitals without those that are read as another: I, L, O, U.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 8
_LONGEST_SHIFT = 3650  # days


@dataclass(frozen=True)
class Pseudonyms:
    """Makes the stand-ins of one site; ``key`` is the site key."""

    key: str = field(repr=False)

    def patient(self, identity: Identity) -> str:
        """A patient's pseudonym, such as ``P-7F3K-9Q2X``: 40 bit."""
        number = int.from_bytes(self._digest("patient", *patient_key(identity))[:5], "big")
        letters = "".join(_LETTERS[number >> 5 * place & 31] for place in range(_LENGTH))
        return f"P-{letters[:4]}-{letters[4:]}"

    def uid(self, original: str) -> str:
        """The UID that stands for another, below 2.25 (PS3.5 B.2)."""
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', original)[:16], version=4).int}"

    def date(self, original: str, identity: Identity) -> str:
        """A date (YYYYMMDD) moved back by the patient's own 1 to 3650 days; empty where it is no date.

        All dates of a patient move alike, so that the time between two exams stays.
        """
        number = int.from_bytes(self._digest("dates", *patient_key(identity))[:8], "big")
        try:
            moved = date.fromisoformat(original) - timedelta(days=1 + number % _LONGEST_SHIFT)
        except (ValueError, OverflowError):
            return ""
        return f"{moved.year:04}{moved:%m%d}"

    def _digest(self, *parts: str) -> bytes:
        return hmac.digest(self.key.encode(), "\0".join(parts).encode(), hashlib.sha256)
