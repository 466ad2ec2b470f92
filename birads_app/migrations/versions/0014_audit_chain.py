"""Audit log: hash chain"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from flask import current_app

from birads_app.records.audit_chain import BEGIN, link, new_key

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_AT_ONCE = 1000
_COLUMNS = "id, at, who, action, subject, detail"
_CHANGES = ("UPDATE", "DELETE")


def upgrade() -> None:
    op.create_table(
        "audit_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_key_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_key")),
    )
    op.add_column("audit", sa.Column("hash", sa.String(64), server_default="", nullable=False))
    connection = op.get_bind()
    entries = connection.execute(sa.text("SELECT count(*) FROM audit")).scalar() or 0
    if entries:
        key, ciphertext = new_key(str(current_app.extensions["birads_site_key"]))
        connection.execute(
            sa.text("INSERT INTO audit_key (id, ciphertext) VALUES (1, :box)"), {"box": ciphertext}
        )
        _drop_triggers()
        _append_begin(entries)
        _chain(key)
        _create_triggers()


def downgrade() -> None:
    _drop_triggers()
    op.drop_column("audit", "hash")
    op.drop_table("audit_key")
    _create_triggers()


def _append_begin(entries: int) -> None:
    """Say in the log which entries were chained when they were there already."""
    op.get_bind().execute(
        sa.text(
            "INSERT INTO audit (at, who, action, subject, detail) VALUES (:at, 'console', :action, '', :detail)"
        ),
        {
            "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
            "action": BEGIN,
            "detail": f"{entries} entries of earlier versions, as they were found",
        },
    )


def _chain(key: bytes) -> None:
    """Fill in the hashes of all entries, a thousand at once."""
    connection, last, previous = op.get_bind(), 0, ""
    page = sa.text(f"SELECT {_COLUMNS} FROM audit WHERE id > :last ORDER BY id LIMIT {_AT_ONCE}")
    while rows := connection.execute(page, {"last": last}).all():
        hashes = []
        for row in rows:
            previous, last = link(key, previous, row), row[0]
            hashes.append({"number": last, "hash": previous})
        connection.execute(sa.text("UPDATE audit SET hash = :hash WHERE id = :number"), hashes)


def _drop_triggers() -> None:
    for change in _CHANGES:
        op.execute(f"DROP TRIGGER audit_no_{change.lower()}")


def _create_triggers() -> None:
    for change in _CHANGES:
        op.execute(
            f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit list is only added to'); END"
        )
