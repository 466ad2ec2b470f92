"""Migrate the database to the schema that the code expects."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import insert, inspect, select

from birads_app.records import (
    all_tables,  # noqa: F401  # defines the tables
    database,
    postgresql_ddl,
    shared_locks,
)
from birads_app.records.database import Database
from birads_app.records.errors import RestoreUnfinished
from birads_app.records.postgresql_database import PostgresqlDatabase
from birads_app.records.table_base import Base
from birads_app.records.template_table import ReportTemplate
from birads_app.terms.messages import msg

# Folder inside the instance folder while a backup is restored.
RESTORING = ".restoring"
# Table that has rows from the beginning.
BEGUN_WITH = ReportTemplate.__tablename__
_SCRIPTS = Path(__file__).resolve().parent.parent / "migrations"


def upgrade(stored: Database | None = None) -> None:
    """Apply all missing migrations to a database, or the application's; safe to run repeatedly and concurrently.

    Raises
    ------
    RestoreUnfinished
        A restore into this folder has not put the database in place.
    SettingsError
        The PostgreSQL database is not fit (:func:`postgresql_ddl.create_tables`).
    """
    if stored is None and Path(current_app.instance_path, RESTORING).exists() and is_empty(database.of_app()):
        raise RestoreUnfinished(msg("restore-unfinished"))
    with shared_locks.of_app().exclusive("upgrade.lock"):
        migrated = stored or database.of_app()
        if isinstance(migrated, PostgresqlDatabase):
            _begin_server(migrated)
        _alembic(migrated, command.upgrade, "head")


def _begin_server(stored: PostgresqlDatabase) -> None:
    """Give an empty PostgreSQL database the tables of this version."""
    with stored.rebuilding() as connection:
        if not stored.exists():
            postgresql_ddl.create_tables(connection)
            scripts = ScriptDirectory(str(_SCRIPTS))
            templates = scripts.get_revision("0030").module.DEFAULTS
            rows = [
                {"language": language, "name": name, "texts": texts} for language, name, texts in templates
            ]
            connection.execute(insert(ReportTemplate), rows)
            MigrationContext.configure(connection).stamp(scripts, "head")


def revision(message: str) -> None:
    """Generate a numbered migration from the difference between the schema in code and the database."""
    head = ScriptDirectory(str(_SCRIPTS)).get_current_head() or "0"
    _alembic(database.of_app(), command.revision, message, autogenerate=True, rev_id=f"{int(head) + 1:04d}")


def knows(revision: str) -> bool:
    """Return True if databases of this revision can be migrated."""
    return revision in {script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions()}


def is_empty(stored: Database) -> bool:
    """Return True if a database has no tables, or no rows in any of them but those that it begins with."""
    if not stored.exists():
        return True
    with stored.engine.connect() as connection:
        there = inspect(connection).get_table_names()
        tables = [
            table for table in Base.metadata.sorted_tables if table.name in there and table.name != BEGUN_WITH
        ]
        return not any(connection.execute(select(table.c[0]).limit(1)).first() for table in tables)


def is_current(stored: Database | None = None) -> bool:
    """Return True if a database, or the application's, lacks no migration."""
    with (stored or database.of_app()).engine.connect() as connection:
        here = MigrationContext.configure(connection).get_current_revision()
    return here == ScriptDirectory(str(_SCRIPTS)).get_current_head()


def can_serve() -> bool:
    """Return True if no migration is missing in the application's database; in PostgreSQL it may be a newer version's.

    Processes of the version before serve during a rolling update, as a revision only adds.
    """
    if is_current():
        return True
    with database.of_app().engine.connect() as connection:
        here = MigrationContext.configure(connection).get_current_revision()
        newer = here is not None and not knows(here)
        return newer and connection.dialect.name == "postgresql"


def _alembic(stored: Database, action: Callable[..., Any], *arguments: str, **options: Any) -> None:
    """Run one of Alembic's commands inside a transaction on a database."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    with stored.rebuilding() as connection:
        config.attributes["connection"] = connection
        action(config, *arguments, **options)
