"""Unsaved entries, withdrawn signatures, requests for the AI result"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, *more in (
        ("working_drafts", sa.Column("entries", sa.JSON(), nullable=False)),
        ("ai_result_requests",),
    ):
        op.create_table(
            name,
            sa.Column("exam_id", sa.String(32), nullable=False),
            sa.Column("reader_id", sa.Integer(), nullable=False),
            sa.Column("at", sa.DateTime(), nullable=False),
            *more,
            sa.ForeignKeyConstraint(
                ["exam_id"], ["exams.id"], name=op.f(f"fk_{name}_exam_id_exams"), ondelete="CASCADE"
            ),
            sa.ForeignKeyConstraint(["reader_id"], ["users.id"], name=op.f(f"fk_{name}_reader_id_users")),
            sa.PrimaryKeyConstraint("exam_id", "reader_id", name=op.f(f"pk_{name}")),
        )
    op.create_table(
        "withdrawals",
        sa.Column("assessment_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["assessment_id"],
            ["assessments.id"],
            name=op.f("fk_withdrawals_assessment_id_assessments"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("assessment_id", name=op.f("pk_withdrawals")),
    )
    op.execute(
        "CREATE TRIGGER withdrawals_no_update BEFORE UPDATE ON withdrawals "
        "BEGIN SELECT RAISE(ABORT, 'withdrawals are only added to'); END"
    )
    op.add_column("assessments", sa.Column("aided", sa.Boolean(), nullable=True))


def downgrade() -> None:
    """Turn withdrawn signatures into drafts: earlier versions know none."""
    trigger = "CREATE TRIGGER assessments_no_update BEFORE UPDATE ON assessments "
    op.execute("DROP TRIGGER assessments_no_update")
    op.execute("UPDATE assessments SET signed = 0 WHERE id IN (SELECT assessment_id FROM withdrawals)")
    op.execute(f"{trigger}BEGIN SELECT RAISE(ABORT, 'assessments are only added to'); END")
    op.execute("ALTER TABLE assessments DROP COLUMN aided")
    for name in ("withdrawals", "ai_result_requests", "working_drafts"):
        op.drop_table(name)
