"""Digests of patient IDs for trainings, under this site's key of pseudonyms."""

from collections.abc import Callable

from birads_app.model.training_digests import content_digest
from birads_app.records import database, identity_digests, migrate, site_keys
from birads_app.records.identity_digests import IdentifierKind


def keyed() -> Callable[[str], bytes] | None:
    """Return the function from a patient ID to its digest, 16 bytes; None without a database, which has the key."""
    if not (database.of_app().exists() and migrate.is_current()):
        return None
    key = site_keys.pseudonym_key()

    def digest(patient: str) -> bytes:
        # Hashed once more, so that a model is not linked to the digests in the database.
        found = identity_digests.digest_with(key, IdentifierKind.PATIENT_ID, patient)
        return content_digest(bytes.fromhex(found or ""))

    return digest
