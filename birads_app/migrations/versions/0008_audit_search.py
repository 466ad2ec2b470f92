"""Audit list: found by who, action, subject and time"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_audit_at": ["at"],
    "ix_audit_who_at": ["who", "at"],
    "ix_audit_action_at": ["action", "at"],
    "ix_audit_subject_at": ["subject", "at"],
}


def upgrade() -> None:
    for name, columns in _INDEXES.items():
        op.create_index(name, "audit", columns)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, "audit")
