"""Two-step verification: set up, second step of a sign-in, recovery codes, removal, requirement by the site."""

import re
from datetime import UTC, datetime

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import update
from werkzeug.test import TestResponse

from birads_app import create_app
from birads_app.config import read
from birads_app.records import audit_log, rate_limit, tokens, totp, users
from birads_app.records.credential_tables import Authenticator, RecoveryCode
from birads_app.records.database import session, writing
from birads_app.records.errors import InvalidAccount
from birads_app.records.schema import Role, User
from tests.support.factories import PASSWORD, bearer, last_audit_entry, make_user, sign_in
from tests.support.full_disk import full_disk

PAGE = "/account/two-step"
START = 1_800_000_000


class Clock:
    """Time that only tests move, and the codes that an app shows then."""

    def __init__(self) -> None:
        self.seconds = START
        self.secret = ""

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def code(self, steps: int = 0) -> str:
        return pyotp.TOTP(self.secret).at(self.seconds + steps * totp.STEP_S)


@pytest.fixture
def phone(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The user's phone."""
    clock = Clock()
    monkeypatch.setattr(totp, "now", clock.now)
    return clock


def set_up(client: FlaskClient, phone: Clock) -> list[str]:
    """Set two-step verification up and return the recovery codes."""
    scan = client.post(f"{PAGE}/begin", data={"password": PASSWORD}).text
    phone.secret = re.search("<code>([A-Z2-7 ]+)</code>", scan)[1].replace(" ", "")
    page = client.post(f"{PAGE}/confirm", data={"code": phone.code()})
    assert page.status_code == 200
    phone.seconds += totp.STEP_S
    return re.findall("<li><code>([a-z2-7-]+)</code>", page.text)


@pytest.fixture
def recovery(reader: FlaskClient, phone: Clock) -> list[str]:
    """The recovery codes of a reader with two-step verification, who has signed out."""
    codes = set_up(reader, phone)
    reader.post("/logout")
    return codes


def give(client: FlaskClient, code: str) -> TestResponse:
    """Send the password, then the code."""
    assert sign_in(client).location == "/login/code"
    return client.post("/login/code", data={"code": code})


def test_it_counts_once_a_code_has_confirmed_it(app: Flask, reader: FlaskClient, phone: Clock) -> None:
    assert "Off: the password alone" in reader.get("/account").text
    refused = reader.post(f"{PAGE}/begin", data={"password": "wrong password"})
    assert refused.status_code == 422 and "Incorrect current password" in refused.text
    scan = reader.post(f"{PAGE}/begin", data={"password": PASSWORD}).text
    phone.secret = re.search("<code>([A-Z2-7 ]+)</code>", scan)[1].replace(" ", "")
    assert len(phone.secret) == 32 and "<svg" in scan and 'class="qr"' in scan
    wrong = reader.post(f"{PAGE}/confirm", data={"code": phone.code(steps=9)})
    assert wrong.status_code == 422 and "Incorrect code" in wrong.text
    assert sign_in(app.test_client()).location == "/"  # not in force yet
    codes = reader.post(f"{PAGE}/confirm", data={"code": phone.code()}).text
    assert len(set(re.findall("<li><code>([a-z2-7-]{27})</code>", codes))) == totp.RECOVERY_CODES
    assert last_audit_entry(app) == ("reader", "set up two-step verification", "reader", "")
    assert "On: sign-in asks for a code" in reader.get("/account").text
    make_user(app, "anna", Role.ADMIN)
    chief = app.test_client()
    sign_in(chief, "anna")
    assert "Radiologist · two-step verification<" in chief.get("/admin/accounts/1").text
    assert sign_in(app.test_client()).location == "/login/code"
    with app.app_context(), pytest.raises(InvalidAccount, match="is on already"):
        totp.begin(users.by_name("reader"))


def test_the_qr_code_holds_the_key_for_the_app(app: Flask, phone: Clock) -> None:
    make_user(app)
    with app.app_context():
        user = users.by_name("reader")
        secret = totp.begin(user)
        assert totp.unconfirmed_secret(user) == secret
        parsed = pyotp.parse_uri(totp.uri(secret, user))
    assert (parsed.secret, parsed.name, parsed.issuer) == (secret, "reader", "BI-RADS reader")


def test_the_secret_is_encrypted_and_recovery_codes_are_hashed(
    app: Flask, recovery: list[str], phone: Clock
) -> None:
    with app.app_context():
        assert phone.secret.encode() not in session().query(Authenticator).one().secret
        digests = [row.digest for row in session().query(RecoveryCode)]
    assert len(digests) == totp.RECOVERY_CODES and not set(recovery) & set(digests)


def test_the_password_alone_opens_nothing(
    app: Flask, client: FlaskClient, recovery: list[str], phone: Clock
) -> None:
    assert client.get("/login/code").location == "/login"  # without the password
    assert client.post("/login/code", data={"code": phone.code()}).location == "/login"
    sign_in(client)
    page = client.get("/login/code")
    assert page.status_code == 200 and "reader" not in page.text.replace("BI-RADS reader", "")
    assert client.get("/").status_code == 302
    assert client.post("/login/code", data={"code": phone.code()}).location == "/"
    assert last_audit_entry(app) == ("reader", "sign in", "", "password and code")
    assert client.get("/").status_code == 200


def test_a_wrong_password_never_leads_to_the_second_step(client: FlaskClient, recovery: list[str]) -> None:
    refused = sign_in(client, password="wrong password")
    assert refused.status_code == 401 and "Incorrect name or password." in refused.text


def test_the_clock_may_be_one_step_off(app: Flask, recovery: list[str], phone: Clock) -> None:
    phone.seconds += 600
    with app.app_context():
        user = users.by_name("reader")
        for steps, accepted in ((-2, False), (2, False), (-1, True), (0, True), (1, True)):
            assert totp.accepts(user, phone.code(steps)) is accepted


def test_a_code_is_accepted_once(app: Flask, client: FlaskClient, recovery: list[str], phone: Clock) -> None:
    code = phone.code()
    assert give(client, f"{code[:3]} {code[3:]}").location == "/"
    again = give(app.test_client(), code)
    assert again.status_code == 401 and "Each code is accepted once" in again.text
    assert last_audit_entry(app) == ("reader", "sign in refused", "", "code")
    assert give(app.test_client(), phone.code(-1)).status_code == 401  # nor an earlier one
    phone.seconds += totp.STEP_S
    assert give(app.test_client(), phone.code()).location == "/"


def test_codes_cannot_be_guessed_from_several_addresses(
    app: Flask, recovery: list[str], phone: Clock
) -> None:
    for number in range(rate_limit.FREE + 1):
        guesser = app.test_client()
        guesser.environ_base["REMOTE_ADDR"] = f"192.0.2.{number}"
        answer = give(guesser, "000000")
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0
    assert give(app.test_client(), phone.code()).status_code == 429


def test_the_second_step_expires_and_ends_with_the_account(
    app: Flask, client: FlaskClient, recovery: list[str], phone: Clock
) -> None:
    sign_in(client)
    with client.session_transaction() as kept:
        begun = kept["second_step"]
        kept["second_step"] = {**begun, "at": begun["at"] - 301}
    assert client.post("/login/code", data={"code": phone.code()}).location == "/login"
    sign_in(client)
    with app.app_context(), writing() as current:
        current.execute(update(User).values(enabled=False))
    assert client.post("/login/code", data={"code": phone.code()}).status_code == 401


def test_a_recovery_code_signs_in_once(app: Flask, client: FlaskClient, recovery: list[str]) -> None:
    assert give(client, recovery[3].upper()).location == "/"
    with app.app_context():
        entries = [(entry.who, entry.action) for entry in audit_log.newest(2)]
        assert totp.recovery_codes_left(users.by_name("reader")) == totp.RECOVERY_CODES - 1
    assert entries == [("reader", "sign in"), ("reader", "use recovery code")]
    assert "9 recovery codes are left" in client.get(PAGE).text
    assert give(app.test_client(), recovery[3]).status_code == 401


def test_it_works_while_the_disk_is_full(app: Flask, recovery: list[str], phone: Clock) -> None:
    code = phone.code()
    with full_disk(app):
        assert give(app.test_client(), recovery[0]).status_code == 401
        assert give(app.test_client(), code).location == "/"
        assert give(app.test_client(), code).status_code == 401
    assert give(app.test_client(), code).status_code == 401  # nor afterwards
    assert give(app.test_client(), recovery[0]).location == "/"


def test_turning_it_off_needs_the_password_or_a_code(app: Flask, reader: FlaskClient, phone: Clock) -> None:
    set_up(reader, phone)
    for given in ("", "wrong password", phone.code(9)):
        assert reader.post(f"{PAGE}/remove", data={"confirmation": given}).status_code == 422
    assert reader.post(f"{PAGE}/remove", data={"confirmation": phone.code()}).status_code == 303
    assert last_audit_entry(app) == ("reader", "remove two-step verification", "reader", "")
    assert sign_in(app.test_client()).location == "/"
    set_up(reader, phone)
    assert reader.post(f"{PAGE}/remove", data={"confirmation": PASSWORD}).status_code == 303
    set_up(reader, phone)
    for _ in range(rate_limit.FREE):
        assert reader.post(f"{PAGE}/remove", data={"confirmation": "wrong password"}).status_code == 422
    assert reader.post(f"{PAGE}/remove", data={"confirmation": PASSWORD}).status_code == 429


def test_new_recovery_codes_replace_the_old_ones(app: Flask, reader: FlaskClient, phone: Clock) -> None:
    old = set_up(reader, phone)
    assert reader.post(f"{PAGE}/recovery-codes", data={"confirmation": "wrong password"}).status_code == 422
    page = reader.post(f"{PAGE}/recovery-codes", data={"confirmation": PASSWORD}).text
    new = re.findall("<li><code>([a-z2-7-]+)</code>", page)
    assert last_audit_entry(app) == ("reader", "renew recovery codes", "reader", "")
    assert len(new) == totp.RECOVERY_CODES and not set(old) & set(new)
    assert give(app.test_client(), old[0]).status_code == 401
    assert give(app.test_client(), new[0]).location == "/"


def test_the_console_turns_it_off_on_record_and_tokens_never_need_it(
    app: Flask, runner: FlaskCliRunner, recovery: list[str]
) -> None:
    with app.app_context():
        token = tokens.create(users.by_name("reader"))
    assert app.test_client().get("/api/v1/predictions/none", headers=bearer(token)).status_code == 404
    assert runner.invoke(args=["user", "reset-two-step", "reader"]).exit_code == 0
    assert last_audit_entry(app) == ("console", "remove two-step verification", "reader", "")
    assert sign_in(app.test_client()).location == "/"
    assert "No account is named" in runner.invoke(args=["user", "reset-two-step", "nobody"]).output


def test_the_site_may_require_it(app: Flask, config: dict[str, object], phone: Clock) -> None:
    make_user(app, role=Role.ADMIN)
    strict = create_app({**config, "BIRADS_TOTP_REQUIRED": "administrators"})
    client = strict.test_client()
    sign_in(client)
    for path in ("/", "/account", "/admin/"):
        assert client.get(path).location == PAGE
    assert client.post("/account/tokens", data={"name": "way out"}).location == PAGE
    assert "This site requires" in client.get(PAGE).text
    set_up(client, phone)
    assert client.get("/").status_code == 200


def test_the_requirement_follows_the_role(app: Flask, config: dict[str, object]) -> None:
    make_user(app, role=Role.AUDITOR)
    make_user(app, "anna", role=Role.ADMIN)
    for policy, missing in (("nobody", []), ("administrators", ["anna"]), ("everybody", ["anna", "reader"])):
        app.extensions["birads_settings"] = read({**config, "BIRADS_TOTP_REQUIRED": policy})
        with app.app_context():
            assert [user.name for user in users.people() if totp.is_missing(user)] == missing
