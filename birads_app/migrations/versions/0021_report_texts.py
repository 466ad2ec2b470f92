"""Texts of reports, and full name and title of those who sign them"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_ADDED = {
    "users": ("full_name", "title"),
    "assessments": ("sections", "reader_name", "reader_title"),
}


def upgrade() -> None:
    for table, names in _ADDED.items():
        for name in names:
            kind, default = (sa.JSON(), "{}") if name == "sections" else (sa.String(64), "")
            op.add_column(table, sa.Column(name, kind, nullable=False, server_default=default))


def downgrade() -> None:
    for table, names in _ADDED.items():
        for name in names:
            op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")  # batch mode would lose the triggers
