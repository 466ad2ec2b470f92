"""Limits of how often something happens at all machines of an installation, counted in Redis."""

from birads_app.records import redis_server
from birads_app.records.redis_server import key, reachable


def count(name: str, most: int, seconds: int) -> int | None:
    """Count an event; return the seconds to wait, 0 up to the limit, and None without Redis, where nobody counts.

    Parameters
    ----------
    most : events of a name in the given time, which begins with the first of them

    Raises
    ------
    SharedStateUnavailable
        Redis does not answer.
    """
    redis = redis_server.of_app()
    if redis is None:
        return None
    counter = key("limit", name)
    with reachable():
        steps = redis.pipeline()
        steps.set(counter, 0, ex=seconds, nx=True)
        steps.incr(counter)
        steps.ttl(counter)
        _, events, left = steps.execute()
    return max(1, int(left)) if events > most else 0
