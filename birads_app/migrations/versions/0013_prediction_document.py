"""Images: the prediction as one JSON document"""

import json
from collections.abc import Callable, Sequence

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
    _convert(_COLUMNS, ("prediction",), _document)
    with op.batch_alter_table("images") as table:
        table.alter_column("prediction", existing_type=sa.JSON(), nullable=False)
        for name in _COLUMNS:
            table.drop_column(name)


def downgrade() -> None:
    op.add_column("images", sa.Column("category", sa.String(1), nullable=True))
    for name in _JSON:
        default = "[]" if name == "possible" else None
        op.add_column("images", sa.Column(name, sa.JSON(), nullable=True, server_default=default))
    _convert(("prediction",), _COLUMNS, _columns)
    with op.batch_alter_table("images") as table:
        for name in _COLUMNS:
            table.alter_column(name, nullable=False)
        table.drop_column("prediction")


def _document(category: str, *texts: str) -> tuple[str]:
    members = dict(zip(_JSON, map(json.loads, texts), strict=True))
    return (json.dumps({"category": category, **members}),)


def _columns(document: str) -> tuple[str, ...]:
    members = json.loads(document)
    return members["category"], *(json.dumps(members[name]) for name in _JSON)


def _convert(sources: Sequence[str], targets: Sequence[str], convert: Callable[..., tuple[str, ...]]) -> None:
    """Fill columns from others, a thousand rows at once."""
    connection, last = op.get_bind(), 0
    page = sa.text(
        f"SELECT rowid, {', '.join(sources)} FROM images WHERE rowid > :last ORDER BY rowid LIMIT {_ROWS_AT_ONCE}"
    )
    update = sa.text(
        f"UPDATE images SET {', '.join(f'{name} = :{name}' for name in targets)} WHERE rowid = :row"
    )
    while rows := connection.execute(page, {"last": last}).all():
        filled = [{"row": row, **dict(zip(targets, convert(*texts), strict=True))} for row, *texts in rows]
        connection.execute(update, filled)
        last = rows[-1][0]
