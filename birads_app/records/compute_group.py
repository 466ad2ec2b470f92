"""Processes of ``flask compute`` that run at the moment, each with the number of uploads that it reads at a time."""

import uuid

from birads_app.records import shared_locks
from birads_app.records.redis_renewal import Membership
from birads_app.records.redis_server import reachable
from birads_app.records.shared_locks import SharedLocks

_NAME = "compute"


def enter(at_once: int) -> Membership:
    """Enter the group until the process ends or leaves; raises SharedStateUnavailable."""
    membership = shared_locks.of_app().group(_NAME, f"{uuid.uuid4().hex} {at_once}")
    with reachable():
        membership.enter()
    return membership


def sizes(locks: SharedLocks | None = None) -> list[int]:
    """Return the number of uploads that each process reads at a time; raises SharedStateUnavailable."""
    with reachable():
        return [
            int(name.partition(" ")[2]) for name in (locks or shared_locks.of_app()).group(_NAME).members()
        ]
