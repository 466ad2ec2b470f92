"""Mark exams whose date was shifted"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """De-identified files have neutral names; so dates are shifted of exams that have a DICOM file with such a name."""
    op.add_column("exams", sa.Column("date_shifted", sa.Boolean(), nullable=False, server_default="0"))
    op.create_index("ix_exams_date_shifted", "exams", ["id"], sqlite_where=sa.text("date_shifted"))
    op.execute(
        "UPDATE exams SET date_shifted = 1 WHERE exam_date IS NOT NULL AND NOT EXISTS (SELECT 1 FROM images "
        "WHERE exam_id = exams.id AND filename NOT GLOB 'file-[0-9]*')"
    )


def downgrade() -> None:
    op.drop_index("ix_exams_date_shifted", "exams")
    op.execute("ALTER TABLE exams DROP COLUMN date_shifted")
