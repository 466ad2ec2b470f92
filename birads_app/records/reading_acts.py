"""Acts that change nothing, in the audit log: views of exams, downloads, refusals.

They are written on a thread of their own, in the order in which they happen: no page waits for another writer, and none
fails because the disk is full. An entry that cannot be stored is logged as an error and counted. What waits is written
before the process ends, unless it is killed.

Repeated acts are one entry: the images of an exam are hundreds of requests.
"""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from flask import Flask, current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from birads_app.logs import RequestThreads, where
from birads_app.monitoring import instruments
from birads_app.records import audit_log
from birads_app.records.audit_tables import AuditEntry
from birads_app.records.database import writing
from birads_app.records.schema import now

log = logging.getLogger(__name__)

# An act is an entry again after this time, in seconds; after the other one if the entry could not be stored.
REPEATED_S, _RETRY_S = 600, 60
_VIEW, _LOAD = "view exam", "load images"
_WAITING_MAX = 1000
_REMEMBERED_MAX = 10_000


@dataclass(frozen=True)
class ReadingAct:
    """An act to be recorded; fields as in :func:`birads_app.records.audit_log.add`."""

    who: str
    action: str
    subject: str
    detail: str = ""


class RecentActs:
    """Acts that are entries already and are not recorded again for a while, for all threads of a process."""

    def __init__(self) -> None:
        self._until: dict[ReadingAct, float] = {}
        self._lock = threading.Lock()

    def claim(self, act: ReadingAct, *same: ReadingAct) -> bool:
        """Return True, once, if neither the act nor one of the same meaning was claimed a short time ago."""
        moment = time.monotonic()
        with self._lock:
            if any(self._until.get(each, 0) > moment for each in (act, *same)):
                return False
            if len(self._until) >= _REMEMBERED_MAX:
                self._until = {each: until for each, until in self._until.items() if until > moment}
            if len(self._until) >= _REMEMBERED_MAX:
                self._until.clear()
            self._until[act] = moment + REPEATED_S
            return True

    def retry(self, act: ReadingAct) -> None:
        """Let the act be recorded when it is repeated, after a minute."""
        with self._lock:
            self._until[act] = time.monotonic() + _RETRY_S


def viewed(who: str, exam_id: str) -> None:
    """Record that an account looks at an exam or its report."""
    _record_once(ReadingAct(who, _VIEW, exam_id))


def images_loaded(who: str, exam_id: str) -> None:
    """Record that images of an exam were sent to an account that has not opened the exam, such as in advance."""
    _record_once(ReadingAct(who, _LOAD, exam_id), ReadingAct(who, _VIEW, exam_id))


def identity_shown(who: str, exam_id: str, where: str) -> None:
    """Record that an account saw the patient's identity; each look is an entry."""
    _submit(ReadingAct(who, "see identity", exam_id, where))


def true_dates_listed(who: str) -> None:
    """Record that an account saw true dates in the list of exams."""
    _record_once(ReadingAct(who, "see identity", "list of exams", "dates"))


def downloaded(who: str, action: str, exam_id: str, detail: str = "") -> None:
    """Record a download; each is an entry."""
    _submit(ReadingAct(who, action, exam_id, detail))


def refused(who: str, action: str, subject: str, detail: str) -> None:
    """Record a refusal; repeated ones are one entry, because anybody can cause them."""
    _record_once(ReadingAct(who, action, subject, detail))


def flush() -> None:
    """Wait until everything that this process has noted is written."""
    _thread().submit(int).result()


def _record_once(act: ReadingAct, *same: ReadingAct) -> None:
    recent: RecentActs = current_app.extensions.setdefault("birads_recent_acts", RecentActs())
    if recent.claim(act, *same):
        _submit(act, recent, *same)


def _submit(act: ReadingAct, recent: RecentActs | None = None, *same: ReadingAct) -> None:
    """Hand an act to the thread that writes."""
    if not _places().acquire(blocking=False):
        _lose(act, f"{_WAITING_MAX} others are waiting", recent)
        return
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    _thread().submit(_write, app, act, recent, *same)


def _write(app: Flask, act: ReadingAct, recent: RecentActs | None, *same: ReadingAct) -> None:
    try:
        with app.app_context(), writing() as current:
            if recent is None or not _is_recorded(current, act, *same):
                audit_log.add(current, act.who, act.action, act.subject, act.detail)
    except Exception as error:  # whatever it is, the act has happened
        _lose(act, where(error), recent)
    finally:
        _places().release()


def _is_recorded(current: Session, *acts: ReadingAct) -> bool:
    """Return True if another process has recorded one of the acts a short time ago."""
    since = now() - timedelta(seconds=REPEATED_S)
    same = select(AuditEntry.action, AuditEntry.detail).where(
        AuditEntry.subject == acts[0].subject, AuditEntry.at > since, AuditEntry.who == acts[0].who
    )
    return bool({(act.action, act.detail) for act in acts} & set(map(tuple, current.execute(same))))


def _lose(act: ReadingAct, reason: str, recent: RecentActs | None) -> None:
    """Log and count an entry that is not stored."""
    instruments.count_audit_failure()
    log.error("The audit log lacks an entry, %s: %s", act.action, reason)
    if recent is not None:
        recent.retry(act)


@cache
def _thread() -> ThreadPoolExecutor:
    """Return the thread of all applications of this process; Python waits for it at its end."""
    return RequestThreads(1, thread_name_prefix="audit")


@cache
def _places() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(_WAITING_MAX)
