"""Housekeeping of a running server: what has to be done from time to time, by one of its processes."""

import logging
import threading
import time
from pathlib import Path

from flask import Flask

from birads_app.files import locks
from birads_app.logs import where
from birads_app.records import exam_bin

log = logging.getLogger(__name__)

_FIRST_S, _EVERY_S = 60, 3600


def start(app: Flask) -> None:
    """Begin the housekeeping on a thread that ends with the process."""
    threading.Thread(target=_repeat, args=(app,), name="housekeeping", daemon=True).start()


def run(app: Flask) -> None:
    """Do everything that is due, unless another process is doing so. An error is logged and ends nothing."""
    with app.app_context(), locks.try_exclusive(Path(app.instance_path) / "housekeeping.lock") as free:
        if not free:
            return
        try:
            erased = exam_bin.erase_due()
        except Exception as error:
            log.error("The bin was not emptied:\n%s", where(error))
        else:
            if erased:
                log.info("Erased exams whose time in the bin is over: %d", erased)


def _repeat(app: Flask) -> None:
    time.sleep(_FIRST_S)
    while True:
        run(app)
        time.sleep(_EVERY_S)
