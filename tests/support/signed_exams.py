"""Signed exams, written directly to the database."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Flask

from birads_app.records import users
from birads_app.records.database import writing
from birads_app.records.schema import Assessment, Exam, Outcome

MODEL = "birads-demo"


def store_signed_exam(
    app: Flask,
    read: str,
    named: str | None = "1",
    *,
    reader: str = "reader",
    at: str = "2026-03-10",
    exam: str | None = None,
    pseudonym: str | None = None,
    p_suspicious: float | None = 0.1,
    malignant: bool | None = None,
    is_signed: bool = True,
    model: str = MODEL,
    change: Callable[[Exam, Assessment], None] | None = None,
) -> str:
    """Store a signed exam, or a further assessment of the exam with this ID; return the ID."""
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    with app.app_context():
        who = users.by_name(reader).id
        with writing() as current:
            found = current.get(Exam, exam) if exam else None
            if found is None:
                found = Exam(id=exam or uuid.uuid4().hex, created_at=moment, uploader_id=who, model=model)
                found.demonstration, found.pseudonym, found.p_suspicious = False, pseudonym, p_suspicious
                current.add(found)
                current.flush()
            given: dict[str, Any] = {"overall": read, "model": model, "model_category": named, "at": moment}
            assessment = Assessment(reader_id=who, findings=[], text="", second_look=False, **given)
            assessment.exam_id, assessment.signed = found.id, is_signed
            if is_signed:
                found.assessed, found.assessed_at, found.assessor_id = read, moment, who
            if change:
                change(found, assessment)
            current.add(assessment)
            if malignant is not None:
                current.add(Outcome(exam_id=found.id, malignant=malignant, entered_by=reader))
            return found.id
