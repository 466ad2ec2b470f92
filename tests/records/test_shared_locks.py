"""Locks of an installation, with files and with a real Redis server."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from birads_app.records import redis_renewal
from birads_app.records.errors import SharedStateUnavailable
from birads_app.records.shared_locks import SharedLocks
from tests.support.redis_server import RedisServer, running


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A server, and times that a test can wait for."""
    monkeypatch.setattr(redis_renewal, "_renewal", redis_renewal._Renewal())  # whose thread knows these times
    monkeypatch.setattr(redis_renewal, "TTL_S", 1.0)
    monkeypatch.setattr(redis_renewal, "RENEWAL_S", 0.25)
    with running(tmp_path) as found:
        yield found


def machine(folder: Path, server: RedisServer | None = None) -> SharedLocks:
    """Return the locks as a machine sees them."""
    folder.mkdir(exist_ok=True)
    return SharedLocks(folder, None if server is None else redis.Redis.from_url(server.url, socket_timeout=2))


@pytest.fixture(params=["files", "redis"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> list[SharedLocks]:
    """Two processes' locks: of one machine without Redis, of two with it."""
    if request.param == "files":
        return [machine(tmp_path / "one"), machine(tmp_path / "one")]
    server = request.getfixturevalue("server")
    return [machine(tmp_path / "one", server), machine(tmp_path / "two", server)]


def test_one_process_has_a_lock_at_a_time(two: list[SharedLocks]) -> None:
    one, other = two
    with one.try_exclusive("a.lock") as first, other.try_exclusive("a.lock") as second:
        assert first and not second
        with other.try_exclusive("b.lock") as another:
            assert another
    with other.try_exclusive("a.lock") as now:
        assert now


def test_a_held_lock_is_seen_until_it_is_released(two: list[SharedLocks]) -> None:
    one, other = two
    held = one.hold("a.lock")
    assert held is not None and other.is_held("a.lock") and other.hold("a.lock") is None
    held.check()
    held.release()
    assert not other.is_held("a.lock")


def test_waiting_ends_with_the_release(two: list[SharedLocks]) -> None:
    one, other = two
    order = []

    def wait() -> None:
        with other.exclusive("a.lock", remove=True):
            order.append("second")

    with one.exclusive("a.lock", remove=True):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_first_member_of_a_group_is_told(two: list[SharedLocks]) -> None:
    one, other = two
    with one.alone("serving.lock") as empty:
        assert empty
    with one.join("serving.lock") as first:
        assert first
    with other.join("serving.lock") as first:
        assert not first
    with other.alone("serving.lock") as empty:
        assert not empty


def test_a_lock_is_renewed_for_as_long_as_its_holder_lives(server: RedisServer, tmp_path: Path) -> None:
    with machine(tmp_path / "one", server).exclusive("a.lock"):
        time.sleep(2.5 * redis_renewal.TTL_S)
        assert machine(tmp_path / "two", server).is_held("a.lock")


def _hold(folder: Path, server: RedisServer) -> None:
    locks = machine(folder, server)
    assert locks.hold("a.lock") is not None
    with locks.join("serving.lock"):
        pass
    time.sleep(60)


def test_what_a_killed_process_has_left_ends_by_itself(server: RedisServer, tmp_path: Path) -> None:
    other = machine(tmp_path / "two", server)
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(tmp_path / "one", server))
    process.start()
    while not other.is_held("a.lock"):
        time.sleep(0.02)
    while not other.group("serving.lock").members():
        time.sleep(0.02)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    killed = time.monotonic()
    with other.exclusive("a.lock"):
        assert time.monotonic() - killed < redis_renewal.TTL_S + 0.5
    while other.group("serving.lock").members():
        assert time.monotonic() - killed < redis_renewal.TTL_S + 1
        time.sleep(0.02)


def test_a_holder_notices_that_another_one_has_its_lock(server: RedisServer, tmp_path: Path) -> None:
    one, client = machine(tmp_path / "one", server), redis.Redis.from_url(server.url)
    with pytest.raises(SharedStateUnavailable), one.exclusive("a.lock"):
        client.set("birads:lock:a.lock", "another process")
        time.sleep(3 * redis_renewal.RENEWAL_S)
    assert client.get("birads:lock:a.lock") == b"another process"


def test_a_lock_is_taken_again_from_a_server_that_has_forgotten_it(
    server: RedisServer, tmp_path: Path
) -> None:
    held = machine(tmp_path / "one", server).hold("a.lock")
    assert held is not None
    server.stop()
    server.start()
    time.sleep(2.5 * redis_renewal.RENEWAL_S)
    held.check()
    assert machine(tmp_path / "two", server).is_held("a.lock")


def test_a_holder_notices_that_redis_was_gone_for_too_long(server: RedisServer, tmp_path: Path) -> None:
    one = machine(tmp_path / "one", server)
    held = one.hold("a.lock")
    assert held is not None
    server.stop()
    time.sleep(redis_renewal.TTL_S + redis_renewal.RENEWAL_S)
    with pytest.raises(SharedStateUnavailable):
        held.check()
    with pytest.raises(SharedStateUnavailable):
        one.hold("b.lock")
    held.release()
