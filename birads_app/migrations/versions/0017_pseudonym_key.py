"""Key of pseudonyms, encrypted with the site key"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pseudonym_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_pseudonym_key_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pseudonym_key")),
    )


def downgrade() -> None:
    op.drop_table("pseudonym_key")
