"""Exams: objects that came and were left out, remarks, reasons for attention; studies that were not fetched"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_LISTS = ("unused_objects", "notes", "attention")


def upgrade() -> None:
    op.add_column("exams", sa.Column("objects_received", sa.Integer(), nullable=True))
    for name in _LISTS:
        op.add_column("exams", sa.Column(name, sa.JSON(), server_default="[]", nullable=False))
    op.add_column("images", sa.Column("fingerprint", sa.String(32), nullable=True))
    op.create_index(
        "ix_exams_attention", "exams", ["created_at", "id"], sqlite_where=sa.text("attention != '[]'")
    )
    op.create_table(
        "fetch_problems",
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", name=op.f("pk_fetch_problems")),
    )


def downgrade() -> None:
    op.drop_table("fetch_problems")
    op.execute("ALTER TABLE images DROP COLUMN fingerprint")
    op.drop_index("ix_exams_attention", "exams")
    for name in ("objects_received", *_LISTS):
        op.execute(f"ALTER TABLE exams DROP COLUMN {name}")
