"""Sessions on the server: their list, their limits and their end."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text, update

from birads_app import create_app
from birads_app.records import database, user_sessions, users
from birads_app.records.schema import Role, now
from birads_app.records.sign_in_tables import UserSession
from birads_app.web.browser_name import browser_name
from tests.support.factories import PASSWORD, last_audit_entry, make_user, sign_in

COOKIE = "birads_session"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"


@pytest.fixture(autouse=True)
def _account(app: Flask) -> None:
    make_user(app)


def signed_in(app: Flask, agent: str = FIREFOX, name: str = "reader") -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = agent
    assert sign_in(client, name).status_code == 302
    return client


def works(client: FlaskClient) -> bool:
    return client.get("/account").status_code == 200


def copied(app: Flask, client: FlaskClient) -> FlaskClient:
    """Return another client with the same cookie."""
    copy = app.test_client()
    cookie = client.get_cookie(COOKIE)
    assert cookie
    copy.set_cookie(COOKIE, cookie.value)
    return copy


def age(app: Flask, **values: object) -> None:
    """Change all stored sessions."""
    with app.app_context(), database.writing() as current:
        current.execute(update(UserSession).values(**values))


def test_a_copied_cookie_is_dead_after_sign_out(app: Flask) -> None:
    client = signed_in(app)
    copy = copied(app, client)
    assert works(copy)
    answer = client.post("/logout")
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert not works(copy)
    assert not works(client)


def test_the_cookie_carries_a_random_id_only(app: Flask) -> None:
    client = signed_in(app)
    with client.session_transaction() as cookie:
        assert set(cookie) <= {"_permanent", "_user_id", "csrf_token"}
        session_id = cookie["_user_id"]
    with app.app_context():
        row = database.session().query(UserSession).one()
        user = users.by_name("reader")
        assert len(session_id) >= 40
        assert session_id not in (row.digest, user.session_key, str(user.id))
        stored = str(database.session().execute(text("SELECT * FROM user_sessions")).all())
        assert session_id not in stored


def test_signing_in_gives_a_new_id(app: Flask) -> None:
    """A cookie that somebody planted before is worthless afterwards."""
    attacker = signed_in(app)
    victim = copied(app, attacker)
    victim.post("/logout")
    planted = attacker.get_cookie(COOKIE)
    assert planted
    sign_in(victim)
    now_used = victim.get_cookie(COOKIE)
    assert now_used and now_used.value != planted.value
    assert works(victim) and not works(attacker)


def test_an_unused_session_ends(app: Flask) -> None:
    client = signed_in(app)
    age(app, last_used_at=now() - timedelta(minutes=29))
    assert works(client)
    with app.app_context():
        assert database.session().query(UserSession).one().last_used_at > now() - timedelta(minutes=1)
    age(app, last_used_at=now() - timedelta(minutes=31))
    assert client.get("/").location == "/login"


def test_a_session_ends_however_much_it_is_used(app: Flask) -> None:
    client = signed_in(app)
    with app.app_context():
        left = database.session().query(UserSession).one().expires_at - now()
    assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12)
    age(app, expires_at=now() - timedelta(seconds=1))
    assert not works(client)
    signed_in(app)
    with app.app_context():
        assert database.session().query(UserSession).count() == 1  # the ended one is deleted


def test_limits_follow_the_settings(config: dict[str, object], app: Flask) -> None:
    short = create_app({**config, "BIRADS_SESSION_HOURS": "1", "BIRADS_SESSION_IDLE_MINUTES": "5"})
    client = signed_in(short)
    with short.app_context():
        left = database.session().query(UserSession).one().expires_at - now()
    assert left <= timedelta(hours=1)
    age(short, last_used_at=now() - timedelta(minutes=6))
    assert not works(client)


def test_a_script_keeps_no_session_alive_but_a_reader_does(app: Flask) -> None:
    client, before = signed_in(app), now() - timedelta(minutes=10)
    for active, later in (({}, False), ({"active": "1"}, True)):
        age(app, last_used_at=before)
        client.post(f"/exams/{'0' * 32}/claim", data=active)
        with app.app_context():
            assert (database.session().query(UserSession).one().last_used_at > before) is later


def test_use_is_noted_once_a_minute_and_never_waits(app: Flask) -> None:
    client = signed_in(app)
    age(app, last_used_at=now() - timedelta(seconds=50))
    with app.app_context():
        before = database.session().query(UserSession).one().last_used_at
    assert works(client)
    with app.app_context():
        assert database.session().query(UserSession).one().last_used_at == before
    age(app, last_used_at=now() - timedelta(minutes=5))
    with app.app_context(), database.writing():  # another process holds the lock
        start = now()
        assert works(client)
        assert now() - start < timedelta(seconds=5)


def test_sessions_are_listed_and_ended(app: Flask) -> None:
    here, there, third = signed_in(app), signed_in(app, CHROME), signed_in(app, "unheard of")
    page = here.get("/account").text
    for browser in ("Firefox, Linux", "Chrome, Windows", "unknown browser", "this browser"):
        assert page.count(browser) >= 1, browser
    (first, *_) = re.findall(r"/account/sessions/(\d+)/end", page)
    assert here.post(f"/account/sessions/{first}/end").status_code == 303
    assert [works(client) for client in (here, there, third)].count(True) == 2
    assert here.post("/account/sessions/end-others").status_code == 303
    assert [works(client) for client in (here, there, third)] == [True, False, False]
    assert "End all other sessions" not in here.get("/account").text
    assert last_audit_entry(app) == ("reader", "end sessions", "reader", "")


def test_nobody_ends_the_sessions_of_others(app: Flask) -> None:
    make_user(app, "berta")
    client, other = signed_in(app), signed_in(app, name="berta")
    with app.app_context():
        berta = users.by_name("berta")
        (row,) = user_sessions.listing(berta)
    client.post(f"/account/sessions/{row.id}/end")
    client.post("/account/sessions/end-others")
    assert works(other)
    assert client.post(f"/admin/accounts/{berta.id}/sessions/end").status_code == 403
    assert works(other)


def test_a_new_password_ends_all_sessions_and_begins_a_new_one(app: Flask) -> None:
    client, other = signed_in(app), signed_in(app)
    copy = copied(app, client)
    new = "another quiet password"
    form = {"current": PASSWORD, "password": new, "confirm": new}
    assert client.post("/account/password", data=form).status_code == 303
    assert [works(one) for one in (client, other, copy)] == [True, False, False]


@pytest.mark.parametrize("act", ["role", "password", "deactivate", "sign out", "command"])
def test_an_administrator_ends_sessions(app: Flask, act: str) -> None:
    make_user(app, "chief", Role.ADMIN)
    client, chief = signed_in(app), signed_in(app, name="chief")
    with app.app_context():
        address = f"/admin/accounts/{users.by_name('reader').id}"
    new = "another quiet password"
    if act == "role":
        chief.post(f"{address}/role", data={"role": "auditor"})
    elif act == "password":
        chief.post(f"{address}/password", data={"password": new, "confirm": new})
    elif act == "deactivate":
        chief.post(f"{address}/deactivate")
    elif act == "sign out":
        chief.post(f"{address}/sessions/end")
    else:
        runner = app.test_cli_runner()
        result = runner.invoke(args=["user", "password", "reader", "--password-stdin"], input=f"{new}\n")
        assert result.exit_code == 0, result.output
    assert not works(client)
    assert works(chief)


def test_changing_ones_own_role_keeps_this_session(app: Flask) -> None:
    make_user(app, "chief", Role.ADMIN)
    make_user(app, "deputy", Role.ADMIN)
    chief, elsewhere = signed_in(app, name="chief"), signed_in(app, name="chief")
    with app.app_context():
        number = users.by_name("chief").id
    chief.post(f"/admin/accounts/{number}/role", data={"role": "auditor"})
    assert works(chief)
    assert not works(elsewhere)


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox, Linux"),
        (CHROME, "Chrome, Windows"),
        (CHROME + " Edg/140.0", "Edge, Windows"),
        ("Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari, iPad"),
        ("curl/8.5.0", "curl"),
        ("x" * 5000, ""),
        ("", ""),
    ],
)
def test_browsers_are_described_without_address_or_version(agent: str, name: str) -> None:
    assert browser_name(agent) == name
