"""Retention: exams older than the settings allow are moved into the bin, from which they are erased later."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import Select, select

from birads_app.config import Settings
from birads_app.records import exam_bin, exams
from birads_app.records.database import session
from birads_app.records.errors import NotFound
from birads_app.records.schema import Exam, now
from birads_app.terms.counts import counted

# Name in the audit log: no account can have it.
AUTOMATIC = "retention (automatic)"
_AT_ONCE = 500


@dataclass(frozen=True)
class DueExam:
    """An exam that is older than allowed, with the time at which it was stored."""

    id: str
    stored_at: datetime
    signed: bool


def due() -> Iterator[DueExam]:
    """Yield the exams that are to go, oldest first; none if retention is off."""
    settings = _settings()
    if settings.retention_days is None:
        return
    last: tuple[datetime, str] | None = None
    while rows := session().execute(_page(settings, last)).all():
        for exam_id, stored_at, assessor_id in rows:
            yield DueExam(exam_id, stored_at, assessor_id is not None)
            last = (stored_at, exam_id)


def run() -> int:
    """Move all exams that are due into the bin, each on record; return their number."""
    days, moved = _settings().retention_days or 0, 0
    for exam in due():
        with suppress(NotFound):  # deleted meanwhile
            exam_bin.put(exam.id, AUTOMATIC, f"older than {counted(days, 'day')} (BIRADS_RETENTION_DAYS)")
            moved += 1
    return moved


def _page(settings: Settings, last: tuple[datetime, str] | None) -> Select[str, datetime, int | None]:
    """Return the query for the exams that are due, after the last one."""
    query = select(Exam.id, Exam.created_at, Exam.assessor_id)
    query = query.where(
        Exam.created_at <= now() - timedelta(days=settings.retention_days or 0), exams.present()
    )
    if settings.retention_exams != "all":
        signed = settings.retention_exams == "signed"
        query = query.where(Exam.assessor_id.is_not(None) if signed else Exam.assessor_id.is_(None))
    if last is not None:
        moment, exam_id = last
        query = query.where((Exam.created_at > moment) | ((Exam.created_at == moment) & (Exam.id > exam_id)))
    return query.order_by(Exam.created_at, Exam.id).limit(_AT_ONCE)


def _settings() -> Settings:
    configured: Settings = current_app.extensions["birads_settings"]
    return configured
