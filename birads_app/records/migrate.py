"""Migrate the database to the schema that the code expects."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app

from birads_app.records import database, shared_locks
from birads_app.records.errors import RestoreUnfinished
from birads_app.terms.messages import msg

# Folder inside the instance folder while a backup is restored.
RESTORING = ".restoring"
_SCRIPTS = Path(__file__).resolve().parent.parent / "migrations"


def upgrade() -> None:
    """Apply all missing migrations; safe to run repeatedly and concurrently.

    Raises
    ------
    RestoreUnfinished
        A restore into this folder has not put the database in place.
    """
    if Path(current_app.instance_path, RESTORING).exists() and not database.exists():
        raise RestoreUnfinished(msg("restore-unfinished"))
    with shared_locks.of_app().exclusive("upgrade.lock"):
        _alembic(command.upgrade, "head")


def revision(message: str) -> None:
    """Generate a numbered migration from the difference between the schema in code and the database."""
    head = ScriptDirectory(str(_SCRIPTS)).get_current_head() or "0"
    _alembic(command.revision, message, autogenerate=True, rev_id=f"{int(head) + 1:04d}")


def knows(revision: str) -> bool:
    """Return True if databases of this revision can be migrated."""
    return revision in {script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions()}


def is_current() -> bool:
    """Return True if no migration is missing."""
    with database.engine().connect() as connection:
        here = MigrationContext.configure(connection).get_current_revision()
    return here == ScriptDirectory(str(_SCRIPTS)).get_current_head()


def _alembic(action: Callable[..., Any], *arguments: str, **options: Any) -> None:
    """Run one of Alembic's commands inside a transaction on the application's database."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    with database.rebuilding() as connection:
        config.attributes["connection"] = connection
        action(config, *arguments, **options)
