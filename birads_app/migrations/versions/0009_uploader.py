"""Exams: name the account that uploaded them uploader"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _rename("reader_id", "uploader_id")


def downgrade() -> None:
    _rename("uploader_id", "reader_id")


def _rename(old: str, new: str) -> None:
    """Rename the column in place: copying the table, as Alembic would, takes minutes with a million exams."""
    op.drop_index(f"ix_exams_{old}", "exams")
    op.execute(f"ALTER TABLE exams RENAME COLUMN {old} TO {new}")
    op.create_index(f"ix_exams_{new}", "exams", [new])
