"""A service that is running as far as commands can tell, without a server."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from birads_app.files import locks
from birads_app.records import shared_locks


@contextmanager
def running(app: Flask) -> Iterator[None]:
    """Be a process of the service during the block."""
    with app.app_context():
        shared = shared_locks.of_app()
        if shared.redis is not None:
            membership = shared.group("serving.lock")
            membership.enter()
            leave = membership.leave
        else:
            with shared.join("serving.lock"):
                leave = locks._memberships.pop().close
    try:
        yield
    finally:
        leave()
