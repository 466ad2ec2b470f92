"""Deliveries of radiologists' reports beside those of a model's results"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_KEPT = "exam_id, model_version, destination, state, attempts, due_at, error"


def upgrade() -> None:
    op.rename_table("deliveries", "deliveries_before")
    op.drop_index("ix_deliveries_due_at", "deliveries_before")
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("exam_id", sa.String(32), nullable=False),
        sa.Column("assessment_id", sa.Integer(), nullable=True),
        *_common_columns(),
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


def downgrade() -> None:
    op.rename_table("deliveries", "deliveries_after")
    for name in ("due_at", "exam_id", "results"):
        op.drop_index(f"ix_deliveries_{name}", "deliveries_after")
    op.create_table(
        "deliveries",
        sa.Column("exam_id", sa.String(32), nullable=False),
        *_common_columns(),
        sa.PrimaryKeyConstraint("exam_id", name=op.f("pk_deliveries")),
    )
    op.create_index("ix_deliveries_due_at", "deliveries", ["due_at"])
    op.execute(
        f"INSERT INTO deliveries ({_KEPT}) SELECT {_KEPT} FROM deliveries_after WHERE assessment_id IS NULL"
    )
    op.drop_table("deliveries_after")


def _common_columns() -> tuple[sa.schema.SchemaItem, ...]:
    return (
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("destination", sa.String(255), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=False),
        sa.Column("error", sa.String(500), nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'stopped')", name=op.f("ck_deliveries_state")),
        sa.ForeignKeyConstraint(
            ["exam_id"], ["exams.id"], name=op.f("fk_deliveries_exam_id_exams"), ondelete="CASCADE"
        ),
    )
