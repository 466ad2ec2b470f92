"""Encrypted identities, access to them, and the audit log."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from test_records import store as store_images

from birads_app import create_app
from birads_app.records import audit_log, database, exam_bin, identities, users
from birads_app.records.errors import NotAllowed, NotFound, SiteKeyDiffers
from birads_app.records.identities import Identity, Instance
from birads_app.records.schema import EncryptedIdentity, Exam, Role
from tests.support.factories import PASSWORD, deletion, make_user, sign_in
from tests.support.stored_content import everything

PSEUDONYM = "P-7F3K-9Q2X"
JANE = Identity(
    patient_name="Doe^Jané",
    patient_id="ID-4711",
    study_uid="1.2.3",
    instances={"a" * 32: Instance("1.2.840.10008.5.1.4.1.1.1.2", "1.2.3.4", "1.2.3.5")},
)


@pytest.fixture
def exam(app: Flask) -> Exam:
    """An exam of Jane's."""
    make_user(app)
    make_user(app, "anna", Role.ADMIN)
    with app.app_context():
        found = store_images(users.by_name("reader").id)
        with database.writing() as current:
            stored = current.get(Exam, found.id)
            assert stored is not None
            stored.pseudonym = PSEUDONYM
            identities.attach(stored, JANE)
        return found


def entries() -> list[tuple[str, str, str]]:
    return [(entry.who, entry.action, entry.subject) for entry in audit_log.newest()]


def test_an_identity_is_stored_encrypted_and_read_back(app: Flask, exam: Exam) -> None:
    with app.app_context():
        assert identities.of(exam) == JANE
    for _, content in everything(Path(app.instance_path)):
        assert b"Doe^Jan" not in content and b"ID-4711" not in content


def test_an_administrator_s_lookup_is_logged(app: Flask, exam: Exam) -> None:
    with app.app_context():
        assert identities.look_up(users.by_name("anna"), PSEUDONYM).patient_id == "ID-4711"
        assert entries()[0] == ("anna", "look up", PSEUDONYM)
        with pytest.raises(NotFound):
            identities.look_up(users.by_name("anna"), "P-0000-0000")


def test_another_role_s_lookup_is_refused_and_logged(app: Flask, exam: Exam) -> None:
    with app.app_context():
        with pytest.raises(NotAllowed):
            identities.look_up(users.by_name("reader"), PSEUDONYM)
        assert entries()[0] == ("reader", "look up refused", PSEUDONYM)


def test_an_identity_is_decrypted_only_with_its_key_and_for_its_exam(
    app: Flask, exam: Exam, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        with database.writing() as current:
            box = current.get(EncryptedIdentity, exam.id)
            assert box is not None
            other = Exam(id="f" * 32, uploader_id=exam.uploader_id, model="m", demonstration=True)
            other.identity = EncryptedIdentity(ciphertext=box.ciphertext)
            current.add(other)
        with pytest.raises(SiteKeyDiffers):
            identities.of(other)
        monkeypatch.setitem(app.extensions, "birads_site_key", "another key")
        with pytest.raises(SiteKeyDiffers, match="site-key"):
            identities.of(exam)


def test_erasing_the_exam_deletes_its_identity(app: Flask, exam: Exam) -> None:
    with app.app_context():
        exam_bin.put(exam.id, "anna", "Test.")
        assert identities.look_up(users.by_name("anna"), PSEUDONYM).patient_id  # may be needed to decide
        exam_bin.erase(exam.id, "anna", at_once=True)
        assert identities.of(exam) is None
        with pytest.raises(NotFound):
            identities.look_up(users.by_name("anna"), PSEUDONYM)


def test_actions_are_logged(app: Flask, client: FlaskClient, exam: Exam) -> None:
    sign_in(client, "anna")
    client.post(deletion(exam.id), data={"reason": "Uploaded twice."})
    with app.app_context():
        assert entries()[:3] == [
            ("anna", "delete exam", exam.id),
            ("anna", "sign in", ""),
            ("reader", "store exam", exam.id),
        ]


@pytest.mark.parametrize("change", ["UPDATE audit SET who = 'x'", "DELETE FROM audit"])
def test_the_audit_log_is_append_only(app: Flask, exam: Exam, change: str) -> None:
    with app.app_context():
        before = entries()
        with pytest.raises(IntegrityError, match="only added to"), database.writing() as current:
            current.execute(text(change))
        assert entries() == before


def test_the_command_asks_for_an_administrators_password(
    app: Flask, runner: FlaskCliRunner, exam: Exam
) -> None:
    def look_up(name: str, password: str = PASSWORD):
        arguments = ["patient", "lookup", PSEUDONYM.lower(), "--as", name, "--password-stdin"]
        return runner.invoke(args=arguments, input=f"{password}\n")

    answer = look_up("anna")
    assert answer.exit_code == 0 and "Doe^Jané" in answer.output and "ID-4711" in answer.output
    for name, password in (("anna", "not the password"), ("reader", PASSWORD), ("nobody", PASSWORD)):
        refused = look_up(name, password)
        assert refused.exit_code == 1 and "4711" not in refused.output


def test_the_site_key_is_created_once_and_readable_by_the_owner_only(
    app: Flask, config: dict[str, str]
) -> None:
    path = Path(config["BIRADS_INSTANCE"]) / "site-key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert create_app(config).extensions["birads_site_key"] == path.read_text().strip()
    given = create_app({**config, "BIRADS_SITE_KEY": "s" * 40})
    assert given.extensions["birads_site_key"] == "s" * 40
    assert "s" * 40 not in repr(given.extensions["birads_settings"])
    assert given.extensions["birads_settings"].deidentify
