"""Images: the prediction as one JSON document"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_ROWS_AT_ONCE = 1000
# Columns of before; the document's members have the same names.
_JSON = ("probabilities", "possible", "warnings")
_COLUMNS = ("category", *_JSON)


def upgrade() -> None:
    op.add_column("images", sa.Column("prediction", sa.JSON(), nullable=True))
    members = ", ".join(f"'{name}', json({name})" for name in _JSON)
    op.execute(f"UPDATE images SET prediction = json_object('category', category, {members})")
    with op.batch_alter_table("images") as table:
        table.alter_column("prediction", existing_type=sa.JSON(), nullable=False)
        for name in _COLUMNS:
            table.drop_column(name)


def downgrade() -> None:
    op.add_column("images", sa.Column("category", sa.String(1), nullable=True))
    for name in _JSON:
        default = "[]" if name == "possible" else None
        op.add_column("images", sa.Column(name, sa.JSON(), nullable=True, server_default=default))
    _fill_columns()
    with op.batch_alter_table("images") as table:
        for name in _COLUMNS:
            table.alter_column(name, nullable=False)
        table.drop_column("prediction")


def _fill_columns() -> None:
    """Copy the documents' members, a thousand rows at once, in the spelling of JSON that earlier migrations expect."""
    connection, last = op.get_bind(), 0
    page = sa.text(
        f"SELECT rowid, prediction FROM images WHERE rowid > :last ORDER BY rowid LIMIT {_ROWS_AT_ONCE}"
    )
    update = sa.text(
        f"UPDATE images SET {', '.join(f'{name} = :{name}' for name in _COLUMNS)} WHERE rowid = :row"
    )
    while rows := connection.execute(page, {"last": last}).all():
        connection.execute(update, [{"row": row, **_columns(json.loads(stored))} for row, stored in rows])
        last = rows[-1][0]


def _columns(members: dict[str, Any]) -> dict[str, str]:
    return {"category": members["category"], **{name: json.dumps(members[name]) for name in _JSON}}
