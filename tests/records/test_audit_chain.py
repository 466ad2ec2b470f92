"""Hash chain of the audit log: every kind of tampering is found, and an honest log passes."""

import threading
import time
from pathlib import Path

import pytest
from alembic import command
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import text

from birads_app.records import audit_chain, audit_log, database, migrate
from birads_app.records.audit_chain import AuditHead
from birads_app.records.database import writing
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.errors import AuditLogBroken, InvalidHead, SiteKeyDiffers
from tests.support import servers


def record(count: int = 6) -> None:
    """Store entries, two of them in one transaction."""
    with writing() as current:
        audit_log.add(current, "anna", "store exam", "exam-1")
        audit_log.add(current, "anna", "flag exam", "exam-1", 'Größe "1"\n')
    for number in range(3, count + 1):
        audit_log.log("berta", "sign assessment", f"exam-{number}")


def tamper(*statements: str) -> None:
    """Change the table as somebody with the database file can."""
    with database.of_app().rebuilding() as connection:
        for name in ("update", "delete"):
            servers.drop_trigger(connection, f"audit_no_{name}", "audit")
        for statement in statements:
            connection.exec_driver_sql(statement)


def broken() -> str:
    with pytest.raises(AuditLogBroken) as caught:
        audit_chain.verify()
    return str(caught.value)


def test_an_untouched_log_is_intact(app: Flask) -> None:
    with app.app_context():
        assert audit_chain.verify() == 0 and audit_chain.head() is None
        record()
        seen: list[int] = []
        assert audit_chain.verify(progress=seen.append) == sum(seen) == 6
        newest = audit_chain.head()
        assert newest is not None and newest.number == 6
        record()
        assert audit_chain.verify(newest) == 12


def test_a_changed_entry_is_found_whatever_was_changed(app: Flask) -> None:
    with app.app_context():
        record()
        for column in ("at", "who", "action", "subject", "detail", "hash"):
            before = database.session().scalar(text(f"SELECT {column} FROM audit WHERE id = 4"))
            changed = "'2026-01-01 08:00:00.0'" if column == "at" else f"substr({column}, 2) || 'x'"
            tamper(f"UPDATE audit SET {column} = {changed} WHERE id = 4")
            assert "Entry 4" in broken() and "3 entries before it are intact" in broken()
            tamper(f"UPDATE audit SET {column} = '{before}' WHERE id = 4")
            assert audit_chain.verify() == 6


def test_text_cannot_move_from_one_column_to_the_next(app: Flask) -> None:
    with app.app_context():
        record()
        tamper("UPDATE audit SET subject = substr(subject, 1, 4), detail = substr(subject, 5) WHERE id = 4")
        assert "Entry 4" in broken()


@pytest.mark.parametrize(
    ("numbers", "found"), [("1", "Entries 1 to 1"), ("3, 4", "Entries 3 to 4"), ("6", "Entries 6 to 6")]
)
def test_a_removed_entry_is_found(app: Flask, numbers: str, found: str) -> None:
    with app.app_context():
        record()
        tamper(f"DELETE FROM audit WHERE id IN ({numbers})")
        assert found in broken()


def test_removed_entries_whose_numbers_are_closed_up_are_found(app: Flask) -> None:
    with app.app_context():
        record()
        tamper("DELETE FROM audit WHERE id = 3", "UPDATE audit SET id = id - 1 WHERE id > 3")
        assert "Entry 3" in broken()


def test_an_inserted_entry_is_found(app: Flask) -> None:
    with app.app_context():
        record()
        tamper(
            "UPDATE audit SET id = id + 100 WHERE id > 3",
            "UPDATE audit SET id = id - 99 WHERE id > 100",
            "INSERT INTO audit SELECT 4, at, who, action, subject, detail, hash FROM audit WHERE id = 3",
        )
        assert "Entry 4" in broken()


def test_an_entry_appended_without_the_key_is_found(app: Flask) -> None:
    with app.app_context():
        record()
        tamper(
            "INSERT INTO audit (id, at, who, action, subject, detail, hash) "
            "SELECT 7, at, who, action, subject, detail, hash FROM audit WHERE id = 6"
        )
        assert "Entry 7" in broken()


def test_exchanged_entries_are_found(app: Flask) -> None:
    with app.app_context():
        record()
        tamper(*(f"UPDATE audit SET id = {new} WHERE id = {old}" for old, new in ((3, 0), (5, 3), (0, 5))))
        assert "Entry 3" in broken()


def test_a_cut_end_shows_against_a_head_even_if_the_count_was_changed_and_entries_were_added(
    app: Flask,
) -> None:
    with app.app_context():
        record()
        newest = audit_chain.head()
        on_sqlite = database.engine().dialect.name == "sqlite"
        count = (
            "sqlite_sequence SET seq = 4 WHERE name = 'audit'" if on_sqlite else "audit_sequence SET seq = 4"
        )
        tamper("DELETE FROM audit WHERE id > 4", f"UPDATE {count}")
        assert audit_chain.verify() == 4  # without the head nothing shows
        with pytest.raises(AuditLogBroken, match=r"head, entry 6\. Its newest entry is 4"):
            audit_chain.verify(newest)
        record()
        assert audit_chain.verify() == 10
        with pytest.raises(AuditLogBroken, match="head, entry 6"):
            audit_chain.verify(newest)


def test_a_chain_with_another_key_or_without_one_is_not_accepted(app: Flask) -> None:
    with app.app_context():
        record(2)
        tamper("DELETE FROM audit_key")
        app.extensions.pop("birads_audit_key", None)
        assert "key of the audit log was removed" in broken()
        record(2)
        assert "Entry 1" in broken()


def test_the_key_stays_when_the_site_key_changes(app: Flask) -> None:
    old, new = str(app.extensions["birads_site_key"]), "n" * 40
    with app.app_context():
        record(2)
        stored = database.session().scalar(text("SELECT ciphertext FROM audit_key"))
        again = encrypt(
            decrypt(stored, old, "birads audit log", "audit_key"), new, "birads audit log", "audit_key"
        )
        with writing() as current:
            current.execute(text("UPDATE audit_key SET ciphertext = :box"), {"box": again})
    app.extensions.pop("birads_audit_key", None)
    with app.app_context(), pytest.raises(SiteKeyDiffers):
        audit_chain.verify()
    app.extensions["birads_site_key"] = new
    with app.app_context():
        assert audit_chain.verify() == 2


def test_parallel_writers_make_one_chain(app: Flask) -> None:
    def write() -> None:
        with app.app_context():
            for _ in range(10):
                audit_log.log("anna", "look up", "P-1")

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with app.app_context():
        assert audit_chain.verify() == 40


def test_a_transaction_that_fails_leaves_no_link(app: Flask) -> None:
    with app.app_context():
        with pytest.raises(ZeroDivisionError), writing() as current:
            audit_log.add(current, "anna", "store exam", "exam-1")
            raise ZeroDivisionError
        record(2)
        assert audit_chain.verify() == 2


@pytest.mark.sqlite
def test_entries_of_earlier_versions_are_chained_by_the_upgrade_which_says_so(app: Flask) -> None:
    with app.app_context():
        migrate._alembic(database.of_app(), command.downgrade, "0013")
        entry = "INSERT INTO audit (id, at, who, action, subject) VALUES (:id, '2026-01-01 08:00:00.0', 'a', 'b', '')"
        with writing() as current:
            for number in (1, 2, 4):  # a gap of long ago
                current.execute(text(entry), {"id": number})
        migrate.upgrade()
        (begin,) = audit_log.newest(1)
        assert (begin.action, begin.detail[:30]) == ("begin hash chain", "3 entries of earlier versions,")
        record(2)
        assert audit_chain.verify() == 6
        tamper("UPDATE audit SET who = 'x' WHERE id = 2")
        assert "Entry 2" in broken()


def test_what_is_no_head_is_refused() -> None:
    for line in ("", "5", "x 2026-01-01T08:00:00.000000Z " + "0" * 64, "1 2026 abc"):
        with pytest.raises(InvalidHead, match="flask audit head"):
            audit_chain.read_head(line)


def test_the_commands_print_a_head_and_find_it_again(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    assert "no entry yet" in runner.invoke(args=["audit", "head"]).output
    with app.app_context():
        record()
    line = runner.invoke(args=["audit", "head"]).output
    assert line.startswith("6 20") and line.endswith("\n")
    kept = tmp_path / "head.txt"
    kept.write_text(f"Kept on paper:\n{line}")
    for given in (line, str(kept)):
        result = runner.invoke(args=["audit", "verify", "--head", given])
        assert (result.exit_code, "6 entries" in result.output, "entry 6" in result.output) == (0, True, True)
    other = AuditHead(6, line.split()[1], "0" * 64)
    result = runner.invoke(args=["audit", "verify", "--head", str(other)])
    assert result.exit_code == 1 and "does not contain" in result.output
    assert runner.invoke(args=["audit", "verify", "--head", "nothing"]).exit_code == 1
    with app.app_context():
        tamper("UPDATE audit SET who = 'x' WHERE id = 2")
    result = runner.invoke(args=["audit", "verify"])
    assert result.exit_code == 1 and "Entry 2 of the audit log" in result.output


@pytest.mark.slow
@pytest.mark.sqlite  # times are inserted as text
def test_a_hundred_thousand_entries_are_verified_in_seconds(app: Flask) -> None:
    entry = "INSERT INTO audit VALUES (:id, '2026-01-01 08:00:00.0', 'anna', 'view exam', 'exam', '', :hash)"
    with app.app_context():
        audit_log.log("anna", "view exam", "exam")
        key = audit_chain._stored_key(database.session())
        assert key is not None
        previous, rows = str(database.session().scalar(text("SELECT hash FROM audit"))), []
        for number in range(2, 100_001):
            content = (number, "2026-01-01 08:00:00.0", "anna", "view exam", "exam", "")
            previous = audit_chain.link(key, previous, content)
            rows.append({"id": number, "hash": previous})
        with writing() as current:
            current.execute(text(entry), rows)
        start = time.process_time()
        assert audit_chain.verify() == 100_000
        assert time.process_time() - start < 5
