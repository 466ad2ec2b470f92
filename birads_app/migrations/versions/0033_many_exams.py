"""Indexes for many exams: every order with every filter, unsent deliveries, assessments of a reader and of a model"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_UNSENT = sa.text("state IN ('waiting', 'stopped')")


def upgrade() -> None:
    for column in ("category", "assessor_id"):
        columns = ["status", column, "exam_date", "id"]
        op.create_index(f"ix_exams_status_{column}_exam_date", "exams", columns)
    _index_attention("ix_exams_status_attention", "status", "created_at", "id")
    op.drop_index("ix_exams_attention", "exams")
    op.create_index(
        "ix_deliveries_unsent",
        "deliveries",
        ["state", "due_at"],
        sqlite_where=_UNSENT,
        postgresql_where=_UNSENT,
    )
    for column in ("reader_id", "model"):
        op.create_index(f"ix_assessments_{column}_at", "assessments", [column, "at"])


def downgrade() -> None:
    for column in ("reader_id", "model"):
        op.drop_index(f"ix_assessments_{column}_at", "assessments")
    op.drop_index("ix_deliveries_unsent", "deliveries")
    _index_attention("ix_exams_attention", "created_at", "id")
    op.drop_index("ix_exams_status_attention", "exams")
    for column in ("category", "assessor_id"):
        op.drop_index(f"ix_exams_status_{column}_exam_date", "exams")


def _index_attention(name: str, *columns: str) -> None:
    op.create_index(
        name,
        "exams",
        columns,
        sqlite_where=sa.text("attention != '[]'"),
        postgresql_where=sa.text("(attention)::text != '[]'"),
    )
