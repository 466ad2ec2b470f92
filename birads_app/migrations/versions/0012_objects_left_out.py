"""Exams: objects that came and were left out, remarks on the intake, and reasons for attention"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None

_LISTS = ("unused_objects", "notes", "attention")


def upgrade() -> None:
    op.add_column("exams", sa.Column("objects_received", sa.Integer(), nullable=True))
    for name in _LISTS:
        op.add_column("exams", sa.Column(name, sa.JSON(), server_default="[]", nullable=False))
    op.create_index(
        "ix_exams_attention", "exams", ["created_at", "id"], sqlite_where=sa.text("attention != '[]'")
    )


def downgrade() -> None:
    op.drop_index("ix_exams_attention", "exams")
    for name in ("objects_received", *_LISTS):
        op.execute(f"ALTER TABLE exams DROP COLUMN {name}")
