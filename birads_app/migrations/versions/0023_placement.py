"""Position of the breast in each image; unknown for the images stored before"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("placement", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.execute("ALTER TABLE images DROP COLUMN placement")
