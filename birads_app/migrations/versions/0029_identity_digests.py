"""Keyed digests of patient IDs and accession numbers; those of stored exams are computed"""

import json

import sqlalchemy as sa
from alembic import op
from flask import current_app

from birads_app.records.encryption import decrypt
from birads_app.records.errors import SiteKeyDiffers
from birads_app.records.identity_digests import IdentifierKind, digest_with

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_COLUMNS = {"patient_digest": IdentifierKind.PATIENT_ID, "accession_digest": IdentifierKind.ACCESSION_NUMBER}
_MEMBERS = {"patient_digest": "patient_id", "accession_digest": "accession_number"}
_AT_ONCE = 1000


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("identities", sa.Column(name, sa.String(64), nullable=True))
    connection, last = op.get_bind(), ""
    key = _pseudonym_key(connection)
    page = sa.text(
        f"SELECT exam_id, box FROM identities WHERE exam_id > :last ORDER BY exam_id LIMIT {_AT_ONCE}"
    )
    change = sa.text(
        "UPDATE identities SET patient_digest = :patient_digest, accession_digest = :accession_digest "
        "WHERE exam_id = :exam"
    )
    while rows := connection.execute(page, {"last": last}).all():
        found = [{"exam": exam, **_digests(key, exam, box)} for exam, box in rows]
        connection.execute(change, found)
        last = rows[-1][0]
    for name in _COLUMNS:
        op.create_index(op.f(f"ix_identities_{name}"), "identities", [name])


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_index(op.f(f"ix_identities_{name}"), "identities")
        op.execute(f"ALTER TABLE identities DROP COLUMN {name}")


def _digests(key: str, exam: str, box: bytes) -> dict[str, str | None]:
    """Compute the digests of an exam's identity; none if the site key does not decrypt it, which the check names."""
    try:
        identity = json.loads(decrypt(box, _site_key(), "birads identities", exam))
    except (SiteKeyDiffers, ValueError):
        return dict.fromkeys(_COLUMNS)
    return {name: digest_with(key, kind, identity.get(_MEMBERS[name], "")) for name, kind in _COLUMNS.items()}


def _pseudonym_key(connection: sa.Connection) -> str:
    box = connection.execute(sa.text("SELECT ciphertext FROM pseudonym_key WHERE id = 1")).scalar()
    if box is None:
        return _site_key()
    try:
        return decrypt(box, _site_key(), "birads pseudonyms", "pseudonym_key").decode()
    except SiteKeyDiffers:  # the start refuses this key anyway
        return _site_key()


def _site_key() -> str:
    return str(current_app.extensions["birads_site_key"])
