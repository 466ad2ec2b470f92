"""Orientations of images that were set by hand"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "orientation_corrections",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.String(32), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("set_by", sa.String(64), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("flipped", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["images.id"],
            name=op.f("fk_orientation_corrections_image_id_images"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orientation_corrections")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_orientation_corrections_image_id"), "orientation_corrections", ["image_id"])
    op.execute(
        "CREATE TRIGGER orientation_corrections_no_update BEFORE UPDATE ON orientation_corrections "
        "BEGIN SELECT RAISE(ABORT, 'corrections are only added to'); END"
    )


def downgrade() -> None:
    op.drop_table("orientation_corrections")
