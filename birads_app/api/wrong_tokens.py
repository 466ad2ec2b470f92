"""Count of wrong tokens by address: in this process's memory, with Redis of all machines."""

import threading
import time
from collections import deque
from contextlib import suppress
from math import ceil

from birads_app.records import shared_limits
from birads_app.records.errors import SharedStateUnavailable
from birads_app.records.secret_digest import digest

PER_MINUTE = 30
_MINUTE_S = 60
_MOST_ADDRESSES = 10_000


class WrongTokens:
    """Wrong tokens of the last minute; more than :data:`PER_MINUTE` from one address are refused at once.

    Tokens are random, so that guessing them is hopeless. The limit keeps a broken program from filling logs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def count(self, address: str) -> int:
        """Count a wrong token and return the seconds to wait, 0 below the limit."""
        with suppress(SharedStateUnavailable):
            wait = shared_limits.count(f"wrong-tokens:{digest(address)}", PER_MINUTE, _MINUTE_S)
            if wait is not None:
                return wait
        moment = time.monotonic()
        with self._lock:
            if len(self._times) >= _MOST_ADDRESSES:
                self._times.clear()
            times = self._times.setdefault(address, deque(maxlen=PER_MINUTE))
            if len(times) == PER_MINUTE and (left := times[0] + _MINUTE_S - moment) > 0:
                return ceil(left)
            times.append(moment)
        return 0
