"""The site key: missing, wrong, changed by ``flask key rotate``."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import LargeBinary

from birads_app import create_app
from birads_app.config import SettingsError
from birads_app.deid.pseudonyms import site_pseudonyms
from birads_app.maintenance import key_rotation
from birads_app.records import (
    audit_chain,
    database,
    exams,
    identities,
    site_keys,
    spool,
    totp,
    upload_store,
    user_sessions,
    users,
)
from birads_app.records.identities import Identity
from birads_app.records.spool import Spool
from birads_app.records.table_base import Base
from birads_app.records.upload_store import UploadStore
from birads_app.services import startup
from tests.support import direct_exam, serving_process
from tests.support.factories import make_user

PATIENT = Identity(patient_id="ID-4711")
OBJECTS = [b"first", b"second", b"third"]


@pytest.fixture
def filled(app: Flask) -> Flask:
    """Return an application with exams and a received study, whose database is closed."""
    make_user(app)
    with app.app_context():
        totp.begin(users.by_name("reader"))
        for letter in "abcdef":
            direct_exam.store(letter * 32)
        for number, data in enumerate(OBJECTS):
            spool.of_app().add("1.2", f"1.2.{number}", data)
        for data in (b"", bytes(3 << 20)):
            upload_store.of_app().put(data.decode())
        site_keys.check()
        database.engine().dispose()
    return app


def pseudonym(app: Flask) -> str:
    with app.app_context():
        return site_pseudonyms().patient(PATIENT)


def assert_usable(app: Flask) -> None:
    """Read everything that is encrypted."""
    with app.app_context():
        site_keys.check()
        for letter in "abcdef":
            assert identities.of(exams.get(letter * 32)).patient_id == "ID-4711"
        assert spool.of_app().unreadable() == [] and upload_store.of_app().unreadable() == []
        assert len(upload_store.of_app().names()) == 2
        audit_chain.verify()
        assert totp.unconfirmed_secret(users.by_name("reader"))
        assert list(site_keys.unreadable()) == []
        database.engine().dispose()
    assert not (Path(app.instance_path) / "site-key.next").exists()


def test_a_missing_key_stops_everything_and_is_not_replaced(filled: Flask, config: dict[str, object]) -> None:
    path = Path(filled.instance_path) / "site-key"
    path.unlink()
    with pytest.raises(SettingsError, match=f"{path} does not exist") as stopped:
        create_app(config)
    assert "flask backup --keys" in stopped.value.message
    assert not path.exists()


def test_a_new_installation_gets_a_key(config: dict[str, object]) -> None:
    app = create_app(config)
    assert (Path(app.instance_path) / "site-key").read_text() == app.extensions["birads_site_key"]


@pytest.mark.parametrize("checked_before", [True, False], ids=["noted", "earlier version"])
def test_a_wrong_key_stops_the_start(checked_before: bool, filled: Flask, config: dict[str, object]) -> None:
    if not checked_before:
        with filled.app_context(), database.writing() as current:
            current.execute(Base.metadata.tables["pseudonym_key"].delete())
    path = Path(filled.instance_path) / "site-key"
    path.write_text("x" * 40)
    wrong = create_app(config)
    with pytest.raises(SettingsError, match=f"The site key of {path} is not the one"):
        startup.start(wrong)
    with wrong.app_context(), pytest.raises(SettingsError):
        startup.join()
    given = create_app({**config, "BIRADS_SITE_KEY": "y" * 40})
    with given.app_context(), pytest.raises(SettingsError, match="BIRADS_SITE_KEY is not the one"):
        startup.join()
    assert path.read_text() == "x" * 40


def test_rotation_changes_the_key_and_no_pseudonym(filled: Flask, config: dict[str, object]) -> None:
    before, old = pseudonym(filled), filled.extensions["birads_site_key"]
    result = filled.test_cli_runner().invoke(args=["key", "rotate"])
    assert result.exit_code == 0, result.output
    assert "Pseudonyms have not changed" in result.output
    again = create_app(config)
    assert again.extensions["birads_site_key"] not in ("", old)
    assert_usable(again)
    assert pseudonym(again) == before
    assert old not in result.output and again.extensions["birads_site_key"] not in result.output
    (Path(again.instance_path) / "site-key").write_text(old)
    with create_app(config).app_context(), pytest.raises(SettingsError):
        site_keys.check()


def test_rotation_keeps_the_id_tokens_of_sessions(filled: Flask, config: dict[str, object]) -> None:
    with filled.app_context():
        begun = [user_sessions.begin(users.by_name("reader"), "") for _ in range(2)]
        user_sessions.keep_id_token(begun[0], "a.b.c")
        database.engine().dispose()
    assert filled.test_cli_runner().invoke(args=["key", "rotate"]).exit_code == 0
    with create_app(config).app_context():
        assert [user_sessions.id_token(one) for one in begun] == ["a.b.c", None]
        assert not list(site_keys.unreadable())


def test_rotation_needs_a_stopped_service(filled: Flask) -> None:
    with serving_process.running(filled):
        result = filled.test_cli_runner().invoke(args=["key", "rotate"])
        assert "Stop it first" in result.output and result.exit_code == 1


@pytest.mark.slow
def test_a_key_of_the_environment_is_changed_to_a_given_one(
    filled: Flask, config: dict[str, object], tmp_path: Path
) -> None:
    key = filled.extensions["birads_site_key"]
    (Path(filled.instance_path) / "site-key").unlink()
    given = create_app({**config, "BIRADS_SITE_KEY": key})
    assert "--new-key" in given.test_cli_runner().invoke(args=["key", "rotate"]).output
    (tmp_path / "new").write_text("short")
    arguments = ["key", "rotate", "--new-key", str(tmp_path / "new")]
    assert "at least 32" in given.test_cli_runner().invoke(args=arguments).output
    (tmp_path / "new").write_text("n" * 32 + "\n")
    result = given.test_cli_runner().invoke(args=arguments)
    assert result.exit_code == 0 and "Set BIRADS_SITE_KEY" in result.output, result.output
    assert_usable(create_app({**config, "BIRADS_SITE_KEY": "n" * 32}))
    repeated = create_app({**config, "BIRADS_SITE_KEY": key}).test_cli_runner().invoke(args=arguments)
    assert repeated.exit_code == 0, repeated.output  # as after a kill before the spool was done
    assert_usable(create_app({**config, "BIRADS_SITE_KEY": "n" * 32}))
    assert not (Path(filled.instance_path) / "site-key").exists()


def test_every_encrypted_column_is_encrypted_again() -> None:
    stored = {
        (table.name, column.name)
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    assert stored == {(column.table, column.column) for column in site_keys.COLUMNS}


def rotate_in_a_child(config: dict[str, object], before: Callable[[], None]) -> int:
    """Start a rotation in a process of its own, and return its id."""
    child = os.fork()
    if child == 0:
        try:
            app = create_app(config)
            with app.app_context():
                before()
                key_rotation.rotate(None, lambda _: None)
        finally:
            os._exit(0)
    return child


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


POINTS = {
    "before anything": lambda: setattr(site_keys, "announce", lambda *_: die()),
    "with the next key": lambda: setattr(key_rotation, "_encrypt_database", lambda *_: die()),
    "within the transaction": lambda: setattr(key_rotation, "encrypt", lambda *_: die()),
    "before the spool": lambda: setattr(Spool, "encrypt_again", lambda *_: die()),
    "within the spool": lambda: setattr(Spool, "encrypt_again", half_of_the_spool),
    "within the uploads": lambda: setattr(UploadStore, "encrypt_again", half_of_the_uploads),
    "before the key": lambda: setattr(site_keys, "take_next", lambda *_: die()),
}


def half_of_the_uploads(store: UploadStore, key: str) -> None:
    """Encrypt one upload again, then die."""
    listing = store.names()
    UploadStore.names = lambda _: listing[:1]  # type: ignore[method-assign]
    UPLOADS(store, key)
    die()


UPLOADS = UploadStore.encrypt_again


def half_of_the_spool(spool: Spool, key: str) -> None:
    """Encrypt one object again, then die."""
    listing = spool.listing()
    Spool.listing = lambda _: listing[:1]  # type: ignore[method-assign]
    ORIGINAL(spool, key)
    die()


ORIGINAL = Spool.encrypt_again


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [pytest.param(point, marks=pytest.mark.embedded) if "spool" in point else point for point in POINTS],
)
def test_a_kill_at_any_step_leaves_a_usable_key(point: str, filled: Flask, config: dict[str, object]) -> None:
    before = pseudonym(filled)
    assert os.WIFSIGNALED(os.waitpid(rotate_in_a_child(config, POINTS[point]), 0)[1])
    again = create_app(config)
    assert_usable(again)
    assert pseudonym(again) == before


@pytest.mark.slow
def test_kills_at_random_moments_leave_a_usable_key(filled: Flask, config: dict[str, object]) -> None:
    before, moments = pseudonym(filled), random.Random(11)
    begun = time.monotonic()
    os.waitpid(rotate_in_a_child(config, lambda: None), 0)
    whole = time.monotonic() - begun
    for _ in range(12):
        child = rotate_in_a_child(config, lambda: None)
        time.sleep(moments.uniform(0, whole))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        again = create_app(config)
        assert_usable(again)
        assert pseudonym(again) == before
