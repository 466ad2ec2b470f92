"""Connection to Redis, which several machines share: locks, places and the queue's signals.

Nothing is only in Redis that must not be lost. Without BIRADS_REDIS_URL there is no connection, and no import of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import current_app

from birads_app.config import redis_url
from birads_app.records.errors import SharedStateUnavailable
from birads_app.terms.messages import msg

if TYPE_CHECKING:
    from redis import Redis

    from birads_app.config import Settings

PREFIX = "birads:"  # of all keys
_TIMEOUT_S = 5


def connect(settings: Settings) -> Redis | None:
    """Return a client that connects when it is used, from any thread; None without an address.

    Raises
    ------
    SettingsError
        The file with the address cannot be read, or has none.
    """
    address = redis_url(settings)
    if address is None:
        return None
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis.from_url(
        address,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        health_check_interval=30,
        retry=Retry(NoBackoff(), 1),  # a connection that the server has closed meanwhile
        protocol=2,
    )


def of_app() -> Redis | None:
    """Return the running application's client; None without Redis."""
    client: Redis | None = current_app.extensions["birads_redis"]
    return client


@contextmanager
def reachable() -> Iterator[None]:
    """Raise SharedStateUnavailable where the block's commands fail because Redis does not answer or takes nothing."""
    from redis.exceptions import RedisError

    try:
        yield
    except RedisError as error:
        raise SharedStateUnavailable(msg("shared-state-unavailable")) from error


def key(*parts: str) -> str:
    """Return the name of a key."""
    return PREFIX + ":".join(parts)
