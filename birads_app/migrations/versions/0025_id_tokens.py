"""ID tokens of sessions that began at the identity provider"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user_sessions", sa.Column("id_token", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.execute("ALTER TABLE user_sessions DROP COLUMN id_token")
