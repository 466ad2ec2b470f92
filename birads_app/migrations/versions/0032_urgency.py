"""Urgency of jobs"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("jobs", sa.Column("urgency", number, nullable=False, server_default="2"))


def downgrade() -> None:
    op.drop_column("jobs", "urgency")
