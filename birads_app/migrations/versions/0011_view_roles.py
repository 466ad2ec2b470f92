"""Images: role in the exam instead of standard or not; views that were set by hand"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("role", sa.String(8), server_default="unknown", nullable=False))
    op.execute("UPDATE images SET role = CASE WHEN standard THEN 'standard' ELSE 'special' END")
    op.execute("ALTER TABLE images DROP COLUMN standard")
    op.create_table(
        "view_corrections",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.String(32), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("set_by", sa.String(64), nullable=False),
        *(
            sa.Column(f"{prefix}{name}", sa.String(length), nullable=nullable)
            for prefix in ("", "previous_")
            for name, length, nullable in (("laterality", 1, True), ("view", 16, True), ("role", 8, False))
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_view_corrections_image_id_images"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_view_corrections")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_view_corrections_image_id"), "view_corrections", ["image_id"])
    op.execute(
        "CREATE TRIGGER view_corrections_no_update BEFORE UPDATE ON view_corrections "
        "BEGIN SELECT RAISE(ABORT, 'corrections are only added to'); END"
    )


def downgrade() -> None:
    op.drop_table("view_corrections")
    op.add_column("images", sa.Column("standard", sa.Boolean(), server_default="1", nullable=False))
    op.execute("UPDATE images SET standard = role = 'standard'")
    op.execute("ALTER TABLE images DROP COLUMN role")
