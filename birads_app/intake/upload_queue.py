"""Room in the queue of uploads that are read after their answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import current_app

from birads_app.intake.admission import TooBusy, TooManyUploads
from birads_app.monitoring import instruments
from birads_app.records import jobs
from birads_app.records.schema import User

_UPLOADS_MAX = 1000
_ARRIVING_MAX = 12  # at a time in a process, so that threads are left for other uploads
_RETRY_S = 30


class Arriving:
    """Uploads for the queue that this process is receiving: account and declared bytes of each."""

    def __init__(self) -> None:
        self.uploads: list[tuple[int, int]] = []
        self.lock = threading.Lock()


@contextmanager
def room(user: User, size: int) -> Iterator[None]:
    """Hold room for an upload of so many bytes while it is received.

    Raises
    ------
    TooManyUploads
        The account has half of the room.
    TooBusy
        There is no room.
    """
    arriving: Arriving = current_app.extensions["birads_arriving"]
    entry = user.id, size
    with arriving.lock:
        try:
            _check(arriving.uploads, user.id, size)
        except (TooBusy, TooManyUploads) as error:
            instruments.count_refusal(type(error).__name__)
            raise
        arriving.uploads.append(entry)
    try:
        yield
    finally:
        with arriving.lock:
            arriving.uploads.remove(entry)


def _check(arriving: list[tuple[int, int]], account: int, size: int) -> None:
    """Raise TooManyUploads or TooBusy if there is no room; an account's first upload may exceed its half."""
    own_arriving = sum(user_id == account for user_id, _ in arriving)
    if own_arriving >= _ARRIVING_MAX // 2:
        raise TooManyUploads(_RETRY_S)
    if len(arriving) >= _ARRIVING_MAX:
        raise TooBusy(_RETRY_S)
    limit = current_app.extensions["birads_settings"].queue_mb << 20
    count = total = own_count = own_total = 0
    queued = [(user_id, *room) for user_id, room in jobs.open_uploads().items()]
    for user_id, uploads, taken in (*queued, *((user_id, 1, taken) for user_id, taken in arriving)):
        count, total = count + uploads, total + taken
        if user_id == account:
            own_count, own_total = own_count + uploads, own_total + taken
    if own_count and (own_total + size > limit // 2 or own_count >= _UPLOADS_MAX // 2):
        raise TooManyUploads(_RETRY_S)
    if count and (total + size > limit or count >= _UPLOADS_MAX):
        raise TooBusy(_RETRY_S)
