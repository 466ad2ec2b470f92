"""Comparison of the keys that sign sessions: a page may be answered by any web server of the installation."""

import hashlib
import hmac

from flask import current_app

from birads_app.config import SettingsError
from birads_app.records import redis_server
from birads_app.records.redis_server import key, reachable

_NAME = "session-key"


def compare(first: bool) -> None:
    """Compare this server's key with that of the other web servers; nothing without Redis, which has a digest of it.

    Parameters
    ----------
    first : no other web server runs, so that the key may be a new one

    Raises
    ------
    SettingsError
        The other web servers have another key.
    SharedStateUnavailable
        Redis does not answer.
    """
    redis = redis_server.of_app()
    if redis is None:
        return
    own = hmac.digest(str(current_app.secret_key).encode(), b"birads session key", hashlib.sha256).hex()
    with reachable():
        redis.set(key(_NAME), own, nx=not first)
        same = redis.get(key(_NAME)) == own.encode()
    if not same:
        raise SettingsError(
            "The key that signs sessions is not that of the web servers that run, so that they would sign out each "
            "other's users. Set the same BIRADS_SECRET_KEY for all; to change it, stop all of them first."
        )
