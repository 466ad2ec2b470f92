"""Scopes and expiry of tokens; existing ones keep reading and uploading for 90 days from this migration"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    end = (datetime.now(UTC) + timedelta(days=90)).replace(tzinfo=None)
    op.add_column("tokens", sa.Column("scopes", sa.String(32), nullable=True))
    op.add_column("tokens", sa.Column("expires_at", sa.DateTime(), nullable=True))
    tokens = sa.table("tokens", sa.column("scopes", sa.String), sa.column("expires_at", sa.DateTime))
    op.execute(tokens.update().values(scopes="read upload", expires_at=end))
    with op.batch_alter_table("tokens") as table:
        table.alter_column("scopes", existing_type=sa.String(32), nullable=False)
        table.alter_column("expires_at", existing_type=sa.DateTime(), nullable=False)


def downgrade() -> None:
    for name in ("expires_at", "scopes"):
        op.execute(f"ALTER TABLE tokens DROP COLUMN {name}")
