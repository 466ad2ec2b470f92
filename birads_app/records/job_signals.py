"""Signals between web servers and compute processes, in Redis: which jobs are due, and which have ended.

The rows of the table of jobs are the truth. A signal that is lost is given again (:func:`put` changes nothing for a job
that waits), and who waits for an end looks at the row as well. All functions raise SharedStateUnavailable.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from birads_app.compute.turns import Urgency
from birads_app.records import redis_server
from birads_app.records.redis_server import key, reachable

if TYPE_CHECKING:
    from redis import Redis

QUEUED = (Urgency.REQUEST, Urgency.LATER)  # urgencies of jobs, the first ones first
_ENDED_KEPT_S = 600
_LONGEST_S = 2  # shorter than the connection's timeout


def put(job_id: str, urgency: int) -> None:
    """Let a compute process take the job, after earlier ones of the same urgency."""
    with reachable():
        _redis().zadd(_queue(urgency), {job_id: time.time()}, nx=True)


def take(urgencies: Sequence[Urgency]) -> str:
    """Take the first job of the first of these urgencies that has one; wait for a while, then return an empty text."""
    with reachable():
        found = _redis().bzpopmin([_queue(urgency) for urgency in urgencies], timeout=_LONGEST_S)
    return found[1].decode() if found else ""  # type: ignore[union-attr]


def end(job_id: str) -> None:
    """Wake who waits for the end of a job."""
    with reachable():
        _redis().lpush(_ended(job_id), 1)
        _redis().expire(_ended(job_id), _ENDED_KEPT_S)


def await_end(job_id: str) -> None:
    """Wait until a job has ended, or for a while."""
    with reachable():
        _redis().blpop([_ended(job_id)], timeout=_LONGEST_S)


def forget(job_id: str, urgency: int) -> None:
    """Remove the signals of a job that is closed."""
    with reachable():
        _redis().zrem(_queue(urgency), job_id)
        _redis().delete(_ended(job_id))


def lengths() -> dict[Urgency, int]:
    """Return the number of due jobs that no process has taken, by urgency."""
    with reachable():
        return {urgency: _redis().zcard(_queue(urgency)) for urgency in QUEUED}


def _redis() -> "Redis":
    client = redis_server.of_app()
    assert client is not None
    return client


def _queue(urgency: int) -> str:
    return key("queue", Urgency(urgency).name.lower())


def _ended(job_id: str) -> str:
    return key("ended", job_id)
