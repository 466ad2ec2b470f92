"""The start of a server: what it cannot use is named in one line, and optional packages are left alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from flask import Flask

from birads_app import create_app
from birads_app.config import SettingsError
from birads_app.records import session_key
from birads_app.services import startup
from tests.support import redis_server, servers
from tests.support.object_store import ObjectStore
from tests.support.orthanc import free_port
from tests.support.packages import ROOT
from tests.support.postgresql_server import WITH_PASSWORD

PASSWORD = "Hidden-4711"
pytestmark = [pytest.mark.embedded, pytest.mark.slow]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Return the address of a database whose role has another password than PASSWORD."""
    with servers.any_postgresql() as address:
        with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
            role, (found,) = WITH_PASSWORD, connection.execute(
                "SELECT count(*) FROM pg_roles WHERE rolname = %s", (WITH_PASSWORD,)
            ).fetchone()  # fmt: skip
            if not found:
                connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'another'")
        yield servers.new_database(address).replace("postgres@", f"{role}:{PASSWORD}@")


@pytest.fixture
def guarded_redis(tmp_path: Path) -> Iterator[str]:
    """Return the address of a Redis server that has another password than PASSWORD."""
    with redis_server.running(tmp_path) as server:
        redis.Redis(port=server.port).config_set("requirepass", "another")
        yield server.url.replace("//", f"//:{PASSWORD}@")


@pytest.fixture
def settings(request: pytest.FixtureRequest, config: dict[str, object]) -> dict[str, object]:
    """Return the configuration with something that cannot be used, by the test's parameter."""
    nobody = f"127.0.0.1:{free_port()}"
    if request.param == "database":
        return config | {"BIRADS_DATABASE_URL": f"postgresql://birads:{PASSWORD}@{nobody}/birads"}
    if request.param == "password of the database":
        return config | {"BIRADS_DATABASE_URL": request.getfixturevalue("database")}
    if request.param == "redis":
        return config | {
            "BIRADS_REDIS_URL": f"redis://:{PASSWORD}@{nobody}/0",
            "BIRADS_COMPUTE_TIER": "queue",
        }
    if request.param == "password of redis":
        address = request.getfixturevalue("guarded_redis")
        return config | {"BIRADS_REDIS_URL": address, "BIRADS_COMPUTE_TIER": "queue"}
    store: ObjectStore = request.getfixturevalue("store")
    if request.param == "no bucket":
        return config | {"BIRADS_FILES_URL": "s3://there-is-none/here"}
    patch = request.getfixturevalue("monkeypatch")
    patch.setenv("AWS_ENDPOINT_URL", f"http://{nobody}")
    patch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    return config | {"BIRADS_FILES_URL": store.prefix()}


REASONS = {
    "database": "cannot be reached: connection failed",
    "password of the database": "password authentication failed",
    "redis": "(Redis) does not answer. Nothing was saved",
    "password of redis": "invalid username-password pair",
    "bucket": "The storage of images cannot be reached",
    "no bucket": "The storage of images cannot be reached",
}


@pytest.mark.parametrize(("settings", "reason"), REASONS.items(), indirect=["settings"], ids=list(REASONS))
def test_what_a_start_cannot_use_is_named_in_one_line_without_its_password(
    app: Flask,  # its instance folder has keys and a database
    settings: dict[str, object],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    unusable = create_app(settings)
    with pytest.raises(SettingsError) as refused:
        startup.start(unusable)
    said = [refused.value.message]
    if "BIRADS_FILES_URL" not in settings:
        result = unusable.test_cli_runner().invoke(args=["db", "upgrade"])
        assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
        said.append(result.output.removeprefix("Error: ").strip())
    if "BIRADS_COMPUTE_TIER" in settings:
        result = unusable.test_cli_runner().invoke(args=["compute"])
        assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
        said.append(result.output.removeprefix("Error: ").strip())
    for text in said:
        assert reason in text and "\n" not in text
    assert PASSWORD not in "".join(said) + caplog.text and "Traceback" not in caplog.text


@pytest.mark.parametrize("settings", ["password of the database"], indirect=True)
def test_a_web_server_ends_with_that_line(settings: dict[str, object]) -> None:
    environment = {name: str(value) for name, value in settings.items() if name.startswith("BIRADS_")}
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | environment | {"PORT": str(free_port()), "WEB_CONCURRENCY": "2"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode and "password authentication failed" in said
    assert PASSWORD not in said and "Traceback" not in said


def test_web_servers_with_different_session_keys_do_not_run_side_by_side(
    app: Flask, config: dict[str, object], tmp_path: Path
) -> None:
    with redis_server.running(tmp_path) as server:
        shared = config | {"BIRADS_REDIS_URL": server.url}
        keys = [shared | {"BIRADS_SECRET_KEY": letter * 40} for letter in "aab"]
        first, second, other = (create_app(one) for one in keys)
        with first.app_context():
            session_key.compare(first=True)
        with second.app_context():
            session_key.compare(first=False)
        with other.app_context():
            with pytest.raises(SettingsError, match="Set the same BIRADS_SECRET_KEY for all"):
                session_key.compare(first=False)
            session_key.compare(first=True)  # after all were stopped
        assert b"a" * 40 not in redis.Redis(port=server.port).get("birads:session-key")


def test_the_default_set_up_imports_no_optional_package(app: Flask) -> None:
    visit = """
import sys
from wsgi import app
client = app.test_client()
for path in ("/login", "/healthz", "/readyz", "/metrics"):
    assert client.get(path).status_code in (200, 302, 503), path
with app.app_context():
    from birads_app.records import spool, storage, upload_store
    from birads_app.services import housekeeping, startup
    startup.join()
    housekeeping.run(app)
    storage.measure(), spool.of_app().studies(), upload_store.of_app().names()
optional = {"psycopg", "redis", "fsspec", "s3fs", "boto3", "botocore", "aiobotocore", "dask", "distributed", "pyarrow"}
print(sorted(optional & set(sys.modules)))
"""
    environment = {"BIRADS_INSTANCE": app.instance_path, "BIRADS_COMPUTE_PROCESSES": "0"}
    done = subprocess.run(
        [sys.executable, "-c", visit],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
