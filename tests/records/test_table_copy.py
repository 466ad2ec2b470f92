"""Copies between SQLite and PostgreSQL, each there and back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from birads_app.config import SettingsError
from birads_app.records import audit_chain, audit_log, database, migrate, table_copy, tokens, users
from birads_app.records.database import Database
from birads_app.records.sqlite_database import SqliteDatabase
from birads_app.records.table_base import Base
from birads_app.records.table_copy import CopyRefused
from tests.support import servers
from tests.support.direct_exam import store
from tests.support.factories import make_user

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Address of a PostgreSQL server."""
    with servers.any_postgresql() as running:
        yield running


@pytest.fixture
def target(address: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database on a server."""
    name = f"copy_{id(request)}"
    admin = database.open_server(f"{address}/postgres")
    with admin.engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0")
    opened = database.open_server(f"{address}/{name}")
    yield opened
    opened.engine.dispose()
    with admin.engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.engine.dispose()


@pytest.fixture
def filled(app: Flask) -> Flask:
    """An installation with an account whose name has letters of other languages, an exam, and a deleted row."""
    make_user(app)
    make_user(app, "Jürgen")
    with app.app_context():
        store()
        audit_log.log("Jürgen", "store exam", "b" * 32, 'Größe "1"\n\t\\N')
        kept = tokens.create(users.by_name("JüRGEN"))
        assert kept
        with database.writing() as current:
            current.execute(text("DELETE FROM tokens"))
    return app


def content(stored: Database) -> dict[str, list[tuple[object, ...]]]:
    with stored.unchanging() as connection:
        return {
            table.name: [row for page in table_copy._pages(table, connection) for row in page]
            for table in Base.metadata.sorted_tables
        }


def test_nothing_is_lost_there_and_back(filled: Flask, target: Database, tmp_path: Path) -> None:
    with filled.app_context():
        before = content(database.of_app())
        assert before["exams"] and before["images"] and before["audit"] and before["users"]
        lines: list[str] = []
        rows = table_copy.copy(database.of_app(), target, lines.append)
        assert rows == sum(map(len, before.values())) and len(lines) == len(before)
        assert content(target) == before
        back = SqliteDatabase(tmp_path / "back.sqlite3")
        table_copy.copy(target, back)
        assert content(back) == before
        back.engine.dispose()


def test_the_audit_chain_and_numbers_go_on(filled: Flask, target: Database) -> None:
    with filled.app_context():
        head, entries = audit_chain.head(), audit_chain.count()
        table_copy.copy(database.of_app(), target)
        own, filled.extensions["birads_database"] = database.of_app(), target
    with filled.app_context():
        assert audit_chain.verify(head) == entries
        audit_log.log("Jürgen", "store exam")
        assert audit_chain.verify(head) == entries + 1
        secret = tokens.create(users.by_name("JüRGEN"))
        assert secret and database.session().scalar(text("SELECT count(*) FROM tokens")) == 1
    filled.extensions["birads_database"] = own


def test_a_target_with_rows_or_another_version_is_refused(filled: Flask, target: Database) -> None:
    with filled.app_context():
        table_copy.copy(database.of_app(), target)
        before = content(target)
        with pytest.raises(CopyRefused, match="is not empty"):
            table_copy.copy(database.of_app(), target)
        with target.rebuilding() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
        with pytest.raises(CopyRefused, match="not of this version"):
            table_copy.copy(target, database.of_app())
        assert content(target) == before


def test_a_copy_that_fails_leaves_nothing(
    filled: Flask, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled.app_context():
        monkeypatch.setattr(table_copy, "_set_numbers", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            table_copy.copy(database.of_app(), target)
        assert migrate.is_empty(target)


@pytest.mark.sqlite
def test_the_command_copies_and_names_no_password(filled: Flask, target: Database, address: str) -> None:
    url = target.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    runner = filled.test_cli_runner()
    wrong = url.replace("postgres@127.0.0.1", "postgres:geheim@127.0.0.1").rpartition(":")[0] + ":1/none"
    stored = servers.settings_of(filled.instance_path)
    command = ["db", "copy", *(("--from", stored["BIRADS_DATABASE_URL"]) if stored else ())]
    refused = runner.invoke(args=[*command, "--to", wrong])
    assert refused.exit_code == 1 and "cannot be reached" in refused.output and "geheim" not in refused.output
    assert "has to be given as" in runner.invoke(args=[*command, "--to", "mysql://x/y"]).output
    done = runner.invoke(args=[*command, "--to", url])
    assert done.exit_code == 0 and "Copied" in done.output, done.output
    again = runner.invoke(args=[*command, "--to", url])
    assert again.exit_code == 1 and "is not empty" in again.output


def test_a_database_that_sorts_by_a_language_is_refused(app: Flask, address: str) -> None:
    admin = database.open_server(f"{address}/postgres")
    with admin.engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    latin = database.open_server(f"{address}/latin")
    with app.app_context(), pytest.raises(SettingsError, match="it needs UTF8 and C"):
        migrate.upgrade(latin)
    latin.engine.dispose()
    with admin.engine.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE latin WITH (FORCE)")
    admin.engine.dispose()
