"""The exam's answer"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("exams", sa.Column("rule", sa.String(16), nullable=False, server_default="mean"))
    op.add_column("images", sa.Column("standard", sa.Boolean(), nullable=False, server_default="1"))


def downgrade() -> None:
    with op.batch_alter_table("images") as table:
        table.drop_column("standard")
    with op.batch_alter_table("exams") as table:
        table.drop_column("rule")
