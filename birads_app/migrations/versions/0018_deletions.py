"""Bin of deleted exams"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deletions",
        sa.Column("exam_id", sa.String(32), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("erased_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("exam_id", name=op.f("pk_deletions")),
    )
    op.create_index("ix_deletions_erased_at_at", "deletions", ["erased_at", "at"])


def downgrade() -> None:
    """Return the exams of the bin to their lists: earlier versions have no bin."""
    op.execute(
        "UPDATE exams SET status = (SELECT status FROM deletions WHERE exam_id = exams.id) WHERE status = 'binned'"
    )
    op.drop_table("deletions")
