"""Alembic environment; ``birads_app.records.migrate`` passes the connection and owns the transaction."""

from typing import Any, Literal

from alembic import context

from birads_app.records import (  # noqa: F401  # define the tables
    audit_tables,
    credential_tables,
    deletion_table,
    fetch_table,
    job_table,
    key_tables,
    prior_tables,
    reading_tables,
    refused_file_table,
    schema,
    sign_in_tables,
    template_table,
)
from birads_app.records.table_base import Base, UtcDateTime


def render(kind: str, item: Any, _autogenerate: Any) -> str | Literal[False]:
    """Write our own column types into drafts as what SQLite sees, so that migrations import no tables."""
    return "sa.DateTime()" if kind == "type" and isinstance(item, UtcDateTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    render_item=render,
    compare_type=True,
)
context.run_migrations()
