"""Sign-on at a real OpenID Connect provider, which runs as a process on this machine."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import select
from werkzeug.test import TestResponse

from birads_app import create_app
from birads_app.records import audit_log, provider_accounts, users
from birads_app.records.database import session
from birads_app.records.schema import Role
from birads_app.records.sign_in_tables import UserSession
from birads_app.services import identity_provider
from tests.support.factories import PASSWORD, last_audit_entry, make_user, sign_in
from tests.support.oidc_provider import FAULTS, Provider, run_provider
from tests.support.processes import python

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """A running provider."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with run_provider(port) as running:
        yield running


@pytest.fixture
def config(config: dict[str, object], provider: Provider) -> dict[str, object]:
    """The configuration of a site that uses the provider."""
    return {**config, **provider.settings()}


@pytest.fixture(autouse=True)
def _administrator(app: Flask) -> None:
    make_user(app, "anna", Role.ADMIN)


def leave(client: FlaskClient, path: str = "/sign-on") -> str:
    """Begin the sign-on and return the address to which the browser is sent."""
    answer = client.get(path)
    assert answer.status_code == 302
    return str(answer.location)


def identify(address: str, subject: str) -> str:
    """Sign on at the provider and return the path of the callback."""
    assert "Sign on here" in requests.get(address, timeout=60).text
    answer = requests.post(address, {"subject": subject}, allow_redirects=False, timeout=60)
    assert answer.status_code == 302, answer.text
    parts = urlsplit(answer.headers["Location"])
    return f"{parts.path}?{parts.query}"


def sign_on(client: FlaskClient, subject: str) -> TestResponse:
    """Go the whole way of a sign-on."""
    return client.get(identify(leave(client), subject))


def test_a_sign_on_creates_the_account_with_the_role_of_the_group(
    app: Flask, client: FlaskClient, provider: Provider
) -> None:
    claims = {"preferred_username": "rita@hospital.example", "groups": ["x", "birads-readers"]}
    provider.enter("s-1", name=" Dr. Rita  Roth", **claims)
    assert "Sign on with Hospital" in client.get("/login").text
    assert sign_on(client, "s-1").location == "/"
    assert client.get("/").status_code == 200
    assert client.get("/admin/").status_code == 403
    with app.app_context():
        rita = users.by_name("rita@hospital.example")
        assert rita.role == Role.RADIOLOGIST and not users.has_password(rita)
        assert (rita.full_name, rita.title) == ("Dr. Rita Roth", "")  # as reports are signed
        entries = [
            (entry.who, entry.action, entry.subject, entry.detail)
            for entry in audit_log.newest(5)
            if entry.action != "access refused"  # which is written by a thread
        ]
        assert users.authenticate("rita@hospital.example", "!sign-on") is None
    assert entries[:3] == [
        ("rita@hospital.example", "sign in", "", "sign-on"),
        ("sign-on (automatic)", "set signature", "rita@hospital.example", ""),
        ("sign-on (automatic)", "create account", "rita@hospital.example", "radiologist"),
    ]
    page = client.get("/account").text
    assert "Current password" not in page and "Two-step" not in page


def test_a_full_name_is_taken_over_only_where_there_is_none_and_if_dicom_can_write_it(
    app: Flask, provider: Provider
) -> None:
    who: dict[str, Any] = {"preferred_username": "rolf", "groups": ["birads-readers"]}
    for claim, full_name in ((None, ""), ("Roth^Rolf", ""), ("R" * 65, ""), ("Rolf Roth", "Rolf Roth")):
        provider.enter("s-9", **who, **({"name": claim} if claim else {}))
        assert sign_on(app.test_client(), "s-9").location == "/"
        with app.app_context():
            assert users.by_name("rolf").full_name == full_name
    with app.app_context():
        users.set_signature(users.by_name("rolf"), "Dr. R. Roth", "Consultant radiologist")
    assert sign_on(app.test_client(), "s-9").location == "/"
    with app.app_context():
        rolf = users.by_name("rolf")
        assert (rolf.full_name, rolf.title) == ("Dr. R. Roth", "Consultant radiologist")


def test_the_request_carries_state_nonce_and_a_pkce_challenge(
    client: FlaskClient, provider: Provider
) -> None:
    address = leave(client, "/sign-on?next=/upload")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    assert asked["redirect_uri"] == "http://localhost/sign-on/callback"
    provider.enter("s-2", preferred_username="paul", groups=["birads-readers"])
    assert client.get(identify(address, "s-2")).location == "/upload"
    assert client.get("/sign-on?next=/upload").location == "/login"  # signed in already


def test_the_callback_has_the_public_address(app: Flask, config: dict[str, object]) -> None:
    site = create_app({**config, "BIRADS_PROXY_HOPS": "1"}).test_client()
    given = {"For": "192.0.2.1", "Proto": "https", "Host": "hospital.example", "Prefix": "/birads"}
    answer = site.get("/sign-on", headers={f"X-Forwarded-{name}": value for name, value in given.items()})
    (callback,) = parse_qs(urlsplit(str(answer.location)).query)["redirect_uri"]
    assert callback == "https://hospital.example/birads/sign-on/callback"


def test_the_role_follows_the_groups(app: Flask, provider: Provider) -> None:
    for groups, role in (
        (["birads-readers", "birads-admins"], Role.ADMIN),
        (["birads-auditors"], Role.AUDITOR),
        ("birads-readers", Role.RADIOLOGIST),
    ):
        provider.enter("s-3", preferred_username="rosa", groups=groups)
        assert sign_on(app.test_client(), "s-3").location == "/"
        with app.app_context():
            assert users.by_name("rosa").role == role
            changes = [entry for entry in audit_log.newest(9) if entry.action == "change role"]
    assert {entry.who for entry in changes} == {"sign-on (automatic)"}
    browser = app.test_client()
    sign_on(browser, "s-3")
    provider.enter("s-3", preferred_username="rosa", groups=["birads-auditors"])
    sign_on(app.test_client(), "s-3")
    assert browser.get("/").status_code == 302  # a session with the former role has ended


def test_nobody_comes_in_without_a_group(app: Flask, client: FlaskClient, provider: Provider) -> None:
    for groups in (["others"], [], None):
        provider.enter("s-4", preferred_username="otto", groups=groups)
        refused = sign_on(client, "s-4")
        assert refused.status_code == 403 and "None of your groups gives access" in refused.text
    assert last_audit_entry(app) == ("unknown account", "sign in refused", "", "sign-on: sign-on-no-role")
    assert client.get("/").status_code == 302
    with app.app_context():
        assert [user.name for user in users.people()] == ["anna"]


@pytest.mark.parametrize("fault", [*FAULTS, "signature", "unsigned", "no token"])
def test_a_token_that_is_not_valid_is_refused(
    app: Flask, client: FlaskClient, provider: Provider, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    provider.enter("s-5", preferred_username="eve", groups=["birads-admins"], fault=fault)
    refused = sign_on(client, "s-5")
    assert refused.status_code == 502 and "is not valid, so nobody was signed in" in refused.text
    assert "sign-on-token-invalid" in caplog.text and "Traceback" not in refused.text
    assert client.get("/").status_code == 302
    with app.app_context():
        assert [user.name for user in users.people()] == ["anna"]


def test_an_answer_that_was_not_asked_for_is_refused(
    app: Flask, client: FlaskClient, provider: Provider
) -> None:
    provider.enter("s-6", preferred_username="emil", groups=["birads-readers"])
    answer = identify(leave(client), "s-6")
    elsewhere = app.test_client()
    stolen = elsewhere.get(answer)  # into another browser
    assert stolen.status_code == 403 and "was not begun in this browser" in stolen.text
    leave(elsewhere)
    assert elsewhere.get(answer).status_code == 403
    tampered = re.sub("state=[^&]+", "state=forged", answer)
    assert client.get(tampered).status_code == 403
    assert client.get(answer).status_code == 403  # the request has ended
    assert client.get("/sign-on/callback").status_code == 403
    for browser in (client, elsewhere):
        assert browser.get("/").status_code == 302


def test_a_request_ends_after_ten_minutes(client: FlaskClient, provider: Provider) -> None:
    provider.enter("s-7", preferred_username="edda", groups=["birads-readers"])
    answer = identify(leave(client), "s-7")
    with client.session_transaction() as kept:
        kept["sign_on_request"] = {**kept["sign_on_request"], "at": kept["sign_on_request"]["at"] - 601}
    assert client.get(answer).status_code == 403


def test_a_code_is_worth_nothing_without_its_verifier_and_only_once(
    app: Flask, client: FlaskClient, provider: Provider
) -> None:
    provider.enter("s-8", preferred_username="elli", groups=["birads-readers"])
    answer = identify(leave(client), "s-8")
    with client.session_transaction() as kept:
        own = dict(kept["sign_on_request"])
        kept["sign_on_request"] = {**own, "verifier": "v" * 64}
    refused = client.get(answer)
    assert refused.status_code == 502 and "did not confirm the sign-on" in refused.text
    answer = identify(leave(client), "s-8")
    with client.session_transaction() as kept:
        own = dict(kept["sign_on_request"])
    assert client.get(answer).location == "/"
    other = app.test_client()
    with other.session_transaction() as kept:
        kept["sign_on_request"] = own
    assert other.get(answer).status_code == 502


def test_a_local_name_is_not_taken_over_and_an_administrator_can_link(
    app: Flask, client: FlaskClient, provider: Provider
) -> None:
    provider.enter("s-9", preferred_username="ANNA", email="anna@hospital.example", groups=["birads-admins"])
    refused = sign_on(client, "s-9")
    assert refused.status_code == 403 and "belongs to another account" in refused.text
    runner = app.test_cli_runner()
    linked = runner.invoke(args=["user", "link", "anna", "s-9"])
    assert linked.exit_code == 0, linked.output
    with app.app_context():  # the refusal is recorded after its response, and may come last
        entries = [(one.who, one.action, one.subject, one.detail) for one in audit_log.newest(2)]
    assert ("console", "link sign-on", "anna", "s-9") in entries
    assert runner.invoke(args=["user", "link", "anna", "s-9"]).exit_code == 1
    assert sign_on(client, "s-9").location == "/"
    assert "Administrator · single sign-on<" in client.get("/admin/accounts/1").text
    provider.enter(
        "s-10", preferred_username="anna", groups=["birads-admins"]
    )  # the name at the provider changes hands
    assert sign_on(app.test_client(), "s-10").status_code == 403
    assert runner.invoke(args=["user", "unlink", "anna"]).exit_code == 0
    assert client.get("/").status_code == 302
    assert sign_on(app.test_client(), "s-9").status_code == 403
    for name in ("console", "unknown account", "<b>"):
        provider.enter("s-11", preferred_username=name, groups=["birads-readers"])
        assert sign_on(app.test_client(), "s-11").status_code == 403


def test_a_deactivated_account_stays_out(app: Flask, client: FlaskClient, provider: Provider) -> None:
    provider.enter("s-12", preferred_username="ines", groups=["birads-readers"])
    sign_on(client, "s-12")
    with app.app_context():
        users.deactivate(users.by_name("ines"))
    assert client.get("/").status_code == 302
    refused = sign_on(client, "s-12")
    assert refused.status_code == 403 and "is deactivated" in refused.text


def test_the_last_administrator_keeps_the_role_and_is_told(app: Flask, provider: Provider) -> None:
    provider.enter("s-13", preferred_username="olga", groups=["birads-admins"])
    sign_on(app.test_client(), "s-13")
    with app.app_context():
        users.deactivate(users.by_name("anna"))
    provider.enter("s-13", preferred_username="olga", groups=["birads-readers"])
    refused = sign_on(app.test_client(), "s-13")
    assert refused.status_code == 409 and "the only active administrator" in refused.text


def test_without_new_accounts_only_linked_people_come_in(
    app: Flask, config: dict[str, object], provider: Provider
) -> None:
    closed = create_app({**config, "BIRADS_OIDC_CREATE_ACCOUNTS": "0"})
    make_user(app, "lena")
    provider.enter("s-14", preferred_username="lena", groups=["birads-readers"])
    refused = sign_on(closed.test_client(), "s-14")
    assert refused.status_code == 403 and "name your identifier: s-14" in refused.text
    with app.app_context():
        provider_accounts.link(users.by_name("lena"), provider.issuer, "s-14")
    assert sign_on(closed.test_client(), "s-14").location == "/"


def test_claims_may_come_from_userinfo_and_from_inside_an_object(
    app: Flask, config: dict[str, object], provider: Provider
) -> None:
    site = create_app({**config, "BIRADS_OIDC_ROLE_CLAIM": "realm_access.roles"})
    claims = {"preferred_username": "uwe", "realm_access": {"roles": ["birads-readers"]}}
    provider.enter("s-15", **claims, userinfo=True, info_sub="s-1")
    assert sign_on(site.test_client(), "s-15").status_code == 502  # of another person
    provider.enter("s-15", **claims, userinfo=True)
    assert sign_on(site.test_client(), "s-15").location == "/"
    with app.app_context():
        assert users.by_name("uwe").role == Role.RADIOLOGIST


def test_passwords_can_be_left_to_administrators(
    app: Flask, config: dict[str, object], provider: Provider
) -> None:
    make_user(app)
    site = create_app({**config, "BIRADS_PASSWORD_SIGN_IN": "administrators"})
    page = site.test_client().get("/login").text
    assert "administrators: or with a password" in page
    refused = sign_in(site.test_client())
    assert refused.status_code == 401 and "Incorrect name or password." in refused.text
    assert sign_in(site.test_client(), "anna", PASSWORD).location == "/"


def test_two_step_verification_is_the_provider_s_matter(
    config: dict[str, object], provider: Provider
) -> None:
    site = create_app({**config, "BIRADS_TOTP_REQUIRED": "everybody"}).test_client()
    provider.enter("s-16", preferred_username="tina", groups=["birads-readers"])
    assert sign_on(site, "s-16").location == "/"
    assert site.get("/").status_code == 200
    site.post("/logout")
    sign_in(site, "anna")
    assert site.get("/").location == "/account/two-step"


def keys_of(provider: Provider) -> Any:
    return requests.get(f"{provider.issuer}/jwks", timeout=60).json()


def test_signing_out_ends_the_session_at_the_provider_too(
    app: Flask, client: FlaskClient, provider: Provider
) -> None:
    provider.enter("s-17", preferred_username="tom", groups=["birads-readers"])
    sign_on(client, "s-17")
    with app.app_context():
        (kept,) = session().scalars(select(UserSession.id_token)).all()
    assert b"s-17" not in kept and not kept.startswith(b"eyJ")  # encrypted
    page = client.post("/logout")
    address = re.search('content="0; url=([^"]+)"', page.text)[1].replace("&amp;", "&")
    assert address.startswith(f"{provider.issuer}/logout?client_id=birads&")
    (hint,) = parse_qs(urlsplit(address).query)["id_token_hint"]
    assert jwt.decode(hint, KeySet.import_key_set(keys_of(provider))).claims["sub"] == "s-17"
    back = requests.get(address, allow_redirects=False, timeout=60).headers["Location"]
    assert back == "http://localhost/login"
    assert client.get("/").location == "/login"
    sign_in(client, "anna")
    assert client.post("/logout").location == "/login"


def test_a_session_without_a_usable_token_is_ended_there_as_well(
    app: Flask, client: FlaskClient, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.enter("s-19", preferred_username="tilo", groups=["birads-readers"])
    sign_on(client, "s-19")
    with monkeypatch.context() as rotated:
        rotated.setitem(app.extensions, "birads_site_key", "n" * 32)
        page = client.post("/logout").text
    assert f"{provider.issuer}/logout?client_id=birads&" in page and "id_token_hint" not in page
    sign_on(client, "s-19")
    monkeypatch.setattr(identity_provider, "_HINT_MAX", 10)
    assert "id_token_hint" not in client.post("/logout").text


def test_the_provider_s_refusal_and_its_absence_have_a_page(
    client: FlaskClient, config: dict[str, object], provider: Provider
) -> None:
    refused = sign_on(client, "nobody")
    assert refused.status_code == 403 and "Hospital declined the sign-on (access_denied)." in refused.text
    answer = identify(leave(client), "nobody").replace("access_denied", "%3Cscript%3E")
    assert "declined the sign-on (error)" in client.get(answer).text
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{closed.getsockname()[1]}"
        for issuer in (away, f"{provider.issuer}/"):  # nobody there; another issuer than it says
            lost = create_app({**config, "BIRADS_OIDC_ISSUER": issuer}).test_client()
            for _ in range(2):
                answer = lost.get("/sign-on")
                assert answer.status_code == 502 and "cannot be reached" in answer.text
            assert sign_in(lost, "anna").location == "/"


@pytest.mark.embedded
def test_only_the_provider_is_connected_to(provider: Provider, tmp_path: Path) -> None:
    provider.enter("s-18", preferred_username="nina", groups=["birads-readers"])
    port = urlsplit(provider.issuer).port
    result = python(tmp_path, WORKER, str(port), **provider.settings())
    assert result.returncode == 0, result.stderr
    assert set(result.stdout.splitlines()) == {
        f"CONNECTED ('127.0.0.1', {port})",
        "OUTBOUND ('127.0.0.1', 9)",  # the test's own, to show that it would be noticed
    }


WORKER = """
import socket
import sys
from tests.support.closed_network import close
close(only=("127.0.0.1", int(sys.argv[1])))

from wsgi import app
from birads_app.records import migrate, users
from tests.web.test_sign_on import PASSWORD, identify, leave
with app.app_context():
    migrate.upgrade()
    users.create("anna", PASSWORD, "admin")
client = app.test_client()
assert client.get(identify(leave(client), "s-18")).location == "/"
assert client.get("/").status_code == 200
try:
    socket.create_connection(("127.0.0.1", 9))
except OSError as error:
    assert str(error) == "no other connections"
"""


def test_the_accounts_belong_to_issuer_and_subject(
    app: Flask, client: FlaskClient, provider: Provider
) -> None:
    with app.app_context():
        make = provider_accounts.account_of
        one = make("https://one.example", "s-1", "first", Role.RADIOLOGIST, True)
        two = make("https://two.example", "s-1", "second", Role.RADIOLOGIST, True)
        assert one.id != two.id
        session().expire_all()
        assert make("https://one.example", "s-1", "renamed", Role.RADIOLOGIST, True).name == "first"
