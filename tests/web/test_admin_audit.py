"""Audit log: search, pages, CSV export."""

import ast
import csv
import io
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import func, select, text

from birads_app.records import audit_chain, audit_log, database
from birads_app.records.audit_log import Search
from birads_app.records.audit_tables import AuditEntry
from birads_app.records.database import session, writing
from birads_app.records.schema import Role
from birads_app.services import housekeeping
from birads_app.terms.audit_actions import AUDIT_ACTIONS
from tests.support import servers
from tests.support.factories import make_user, sign_in
from tests.support.packages import ROOT

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def auditor(app: Flask, client: FlaskClient) -> FlaskClient:
    """Sign in, with 130 more entries in the log, one hour apart."""
    make_user(app, "otto", Role.AUDITOR)
    with app.app_context(), writing() as current:
        newest = current.scalar(select(func.max(AuditEntry.id)))
        for number in range(130):
            who, action = ("rita", "anna")[number % 2], ("store exam", "delete exam")[number % 10 == 0]
            at = START + timedelta(hours=number)
            entry = AuditEntry(at=at, who=who, action=action, subject=f"exam-{number}", detail="=1+1")
            entry.id = newest + 1 + number
            current.add(entry)
    sign_in(client, "otto")
    return client


def found(search: Search) -> list[str]:
    return [entry.subject for entry in audit_log.find(search)]


def test_entries_are_found_by_word_and_date(app: Flask, auditor: FlaskClient) -> None:
    with app.app_context():
        assert found(Search(subject="exam-7")) == ["exam-7"]
        assert found(Search(who="rita", action="delete exam"))[:2] == ["exam-120", "exam-110"]
        day = date(2026, 3, 2)
        assert found(Search(first=day, last=day)) == [f"exam-{number}" for number in range(35, 11, -1)]
        assert not found(Search(who="nobody"))
        assert set(audit_log.actions()) == {"create account", "delete exam", "sign in", "store exam"}


def test_pages_are_consecutive_and_complete(app: Flask, auditor: FlaskClient) -> None:
    with app.app_context():
        entries = list(audit_log.all_of(Search(who="anna")))
        assert [entry.subject for entry in entries] == [f"exam-{number}" for number in range(129, 0, -2)]
    first = auditor.get("/admin/audit?who=anna").text
    assert "exam-129<" in first and "exam-1<" not in first
    older = first.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    second = auditor.get(older).text
    assert "exam-1<" in second and "exam-31<" not in second and "exam-29<" in second
    assert auditor.get("/admin/audit?first=yesterday").status_code == 422
    backwards = auditor.get("/admin/audit?first=2026-02-01&last=2026-01-01")
    assert backwards.status_code == 422 and "1 Feb 2026 is after the end date" in backwards.text


@pytest.mark.sqlite
@pytest.mark.parametrize("search", [Search(), Search(who="a"), Search(subject="x", first=date(2026, 1, 1))])
def test_the_query_of_every_page_uses_an_index(app: Flask, search: Search) -> None:
    with app.app_context():
        query = audit_log.paged(search, None, 50)
        compiled = query.compile(session().get_bind(), compile_kwargs={"literal_binds": True})
        plan = " ".join(str(row) for row in session().execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
    assert "ix_audit" in plan and "TEMP B-TREE" not in plan


def test_an_export_is_complete_escaped_and_logged(app: Flask, auditor: FlaskClient) -> None:
    answer = auditor.get("/admin/audit.csv?who=rita")
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == 66 and rows[1][1:] == ["rita", "store exam", "exam-128", "'=1+1"]
    with app.app_context():
        (last,) = audit_log.newest(1)
        assert (last.who, last.action, last.detail) == ("otto", "export audit log", "who: rita")


def test_actions_are_shown_in_german(auditor: FlaskClient) -> None:
    german = auditor.get("/admin/audit", headers={"Accept-Language": "de"}).text
    assert "<td>Untersuchung gespeichert</td>" in german and "<td>store exam</td>" not in german
    assert '<option value="store exam">Untersuchung gespeichert</option>' in german


def test_every_recorded_action_is_translatable() -> None:
    """Find the action: the argument after the account's name, or after session and name."""
    positions = {"log": 1, "add": 2, "_changing": 2, "_audited": 1}
    found = set()
    for path in (ROOT / "birads_app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            function = ast.unparse(node.func).removeprefix("audit_log.")
            if function in positions and len(node.args) > positions[function]:
                parts = ast.walk(node.args[positions[function]])
                found |= {part.value for part in parts if isinstance(part, ast.Constant)}
    assert "sign assessment" in found and found <= set(AUDIT_ACTIONS)


def test_the_page_shows_whether_the_hash_chain_holds(
    app: Flask, client: FlaskClient, runner: FlaskCliRunner
) -> None:
    make_user(app, "otto", Role.AUDITOR)
    sign_in(client, "otto")
    assert "has not been verified yet" in client.get("/admin/audit").text
    housekeeping.run(app)
    with app.app_context():
        head = audit_chain.head()
    assert head is not None
    assert f"Hash chain verified up to entry {head.number}:" in client.get("/admin/audit").text
    with app.app_context():
        audit_log.log("otto", "store exam")
    housekeeping.run(app)  # again on the next day only
    assert f"up to entry {head.number}:" in client.get("/admin/audit").text
    assert runner.invoke(args=["audit", "verify"]).exit_code == 0
    assert f"up to entry {head.number + 1}:" in client.get("/admin/audit").text
    with app.app_context(), database.of_app().rebuilding() as connection:
        servers.drop_trigger(connection, "audit_no_update", "audit")
        connection.exec_driver_sql("UPDATE audit SET who = 'rita' WHERE id = 2")
    assert runner.invoke(args=["audit", "verify"]).exit_code == 1
    page = client.get("/admin/audit").text
    assert "The hash chain is broken." in page and "Entry 2 of the audit log is not as it was written" in page
