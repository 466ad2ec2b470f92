"""Search for prior exams in the PACS"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "prior_searches",
        sa.Column("exam_id", sa.String(32), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("requested", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=False),
        sa.Column("error", sa.String(500), nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'done', 'stopped')", name=op.f("ck_prior_searches_state")),
        sa.ForeignKeyConstraint(
            ["exam_id"], ["exams.id"], name=op.f("fk_prior_searches_exam_id_exams"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("exam_id", name=op.f("pk_prior_searches")),
    )
    op.create_index("ix_prior_searches_state_due_at", "prior_searches", ["state", "due_at"])
    op.create_table(
        "requested_priors",
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("exam_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", "exam_id", name=op.f("pk_requested_priors")),
    )
    op.create_index(op.f("ix_requested_priors_exam_id"), "requested_priors", ["exam_id"])


def downgrade() -> None:
    """Put priors on the worklist: earlier versions do not know their status."""
    op.execute("UPDATE exams SET status = 'new' WHERE status = 'prior'")
    op.execute("UPDATE deletions SET status = 'new' WHERE status = 'prior'")
    op.drop_table("requested_priors")
    op.drop_table("prior_searches")
