"""Alembic environment; ``birads_app.records.migrate`` passes the connection and owns the transaction."""

from typing import Any, Literal

from alembic import context

from birads_app.records import all_tables  # noqa: F401
from birads_app.records.table_base import Base, UtcDateTime


def render(kind: str, item: Any, _autogenerate: Any) -> str | Literal[False]:
    """Write our own column types into drafts as what databases see, so that migrations import no tables."""
    return "sa.DateTime()" if kind == "type" and isinstance(item, UtcDateTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    render_item=render,
    compare_type=True,
)
context.run_migrations()
