"""Deliveries that an administrator has dropped"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_KEPT = "id, exam_id, assessment_id, model_version, destination, state, attempts, due_at, error"


def upgrade() -> None:
    _rebuild("'waiting', 'sent', 'stopped', 'dropped'")


def downgrade() -> None:
    op.execute("UPDATE deliveries SET state = 'stopped' WHERE state = 'dropped'")
    _rebuild("'waiting', 'sent', 'stopped'")


def _rebuild(states: str) -> None:
    """Copy the table into one with another constraint: SQLite cannot change it."""
    op.rename_table("deliveries", "deliveries_before")
    for name in ("due_at", "exam_id", "results"):
        op.drop_index(f"ix_deliveries_{name}", "deliveries_before")
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("exam_id", sa.String(32), nullable=False),
        sa.Column("assessment_id", sa.Integer(), nullable=True),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("destination", sa.String(255), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=False),
        sa.Column("error", sa.String(500), nullable=False),
        sa.CheckConstraint(f"state IN ({states})", name=op.f("ck_deliveries_state")),
        sa.ForeignKeyConstraint(
            ["exam_id"], ["exams.id"], name=op.f("fk_deliveries_exam_id_exams"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["assessment_id"],
            ["assessments.id"],
            name=op.f("fk_deliveries_assessment_id_assessments"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("assessment_id", name=op.f("uq_deliveries_assessment_id")),
    )
    op.create_index("ix_deliveries_due_at", "deliveries", ["due_at"])
    op.create_index("ix_deliveries_exam_id", "deliveries", ["exam_id"])
    op.create_index(
        "ix_deliveries_results",
        "deliveries",
        ["exam_id"],
        unique=True,
        sqlite_where=sa.text("assessment_id IS NULL"),
    )
    op.execute(f"INSERT INTO deliveries ({_KEPT}) SELECT {_KEPT} FROM deliveries_before")
    op.drop_table("deliveries_before")
