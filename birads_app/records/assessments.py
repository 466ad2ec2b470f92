"""Assessments of exams by radiologists. They are only ever added; the newest signed one counts.

A reader may withdraw her signature for a short time; the assessment stays on record as withdrawn.

Two people may assess an exam at the same time: each assessment is one short transaction, so both are stored.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from birads_app.model.aggregation import PRESSING
from birads_app.records import audit_log, blinding, working_drafts
from birads_app.records.database import session, writing
from birads_app.records.errors import InvalidAssessment, NotFound, SignatureFinal
from birads_app.records.findings import Finding
from birads_app.records.reading_tables import Withdrawal
from birads_app.records.schema import Assessment, Exam, Status, User, now
from birads_app.terms import breast_location
from birads_app.terms.categories import Category
from birads_app.terms.lexicon import ASSESSMENTS, DENSITIES, SECTIONS
from birads_app.terms.messages import Message, join, msg
from birads_app.terms.views import SIDES

log = logging.getLogger(__name__)

LONGEST_TEXT, LONGEST_SECTION, MOST_FINDINGS = 4000, 1000, 20


@dataclass(frozen=True)
class Draft:
    """A new assessment to be added.

    breasts : category of each assessed breast, by R and L
    density : A to D; None if not assessed
    sections : texts by the codes of :data:`birads_app.terms.lexicon.SECTIONS`
    signed : False for a draft, which may be incomplete
    second_look : a second reader is requested
    """

    breasts: Mapping[str, str] = field(default_factory=dict)
    density: str | None = None
    findings: Sequence[Finding] = ()
    text: str = ""
    signed: bool = False
    second_look: bool = False
    sections: Mapping[str, str] = field(default_factory=dict)

    @property
    def overall(self) -> str:
        """Category of the more suspicious breast; empty if neither has one."""
        return max(self.breasts.values(), key=PRESSING.index, default="")


def offered(exam: Exam) -> tuple[str, ...]:
    """Return the breasts that can be assessed: those with images; both if a side is unknown or there is no image."""
    shown = {image.laterality for image in exam.images}
    return tuple(SIDES) if None in shown or not shown else tuple(side for side in SIDES if side in shown)


def choices(exam: Exam) -> dict[str, Category]:
    """Return the categories that an exam can be given; without images only 0, incomplete."""
    return ASSESSMENTS if exam.images else {"0": ASSESSMENTS["0"]}


def lacking(exam: Exam, breasts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the breasts that still need a category before the exam can be signed."""
    shown = {image.laterality for image in exam.images} - {None}
    needed = tuple(side for side in SIDES if side in shown) or (() if breasts else tuple(SIDES))
    return tuple(side for side in needed if side not in breasts)


def contradictions(exam: Exam, findings: Sequence[Finding]) -> list[Message]:
    """Return a message for each finding whose location contradicts itself or the marked image."""
    sides = {image.id: image.laterality for image in exam.images}
    problems = []
    for number, one in enumerate(findings, start=1):
        problem = breast_location.contradiction(number, one.side, one.region, one.clock)
        if problem is None and one.side and (sides.get(one.image or "") or one.side) != one.side:
            problem = msg("side-contradictory", number=number)
        if problem:
            problems.append(problem)
    return problems


def add(exam_id: str, reader: User, draft: Draft) -> Assessment:
    """Add an assessment; a signed one changes the exam's status.

    Raises
    ------
    NotFound
        There is no such exam.
    InvalidAssessment
        A term is unknown, or a signed assessment is incomplete or contradictory. Nothing is stored.
    """
    with writing() as current:
        exam = current.get(Exam, exam_id)
        if exam is None or exam.removed:
            raise NotFound(msg("exam-missing"))
        hidden = blinding.is_hidden(exam, reader)
        _check(draft, exam)
        added = _record(exam, reader, draft)
        added.aided = bool(exam.images) and not hidden
        current.add(added)
        working_drafts.remove(current, exam.id, reader.id)
        if draft.signed:
            _settle(exam, added)
        audit_log.add(current, reader.name, "sign assessment" if draft.signed else "save assessment", exam.id)
    log.info("Stored an assessment of exam %s, %s", exam_id, "signed" if draft.signed else "unsigned")
    return get(exam_id, added.id)


def withdraw(exam_id: str, assessment_id: int, reader: User) -> None:
    """Withdraw a reader's own signature; the exam gets the status that it had before.

    Raises
    ------
    NotFound
        The exam has no such assessment.
    SignatureFinal
        It is not the reader's, not signed, not the newest one, or signed too long ago.
    """
    with writing() as current:
        exam, made = current.get(Exam, exam_id), current.get(Assessment, assessment_id)
        if exam is None or exam.removed or made is None or made.exam_id != exam_id:
            raise NotFound(msg("assessment-missing"))
        signed = select(Assessment).where(Assessment.exam_id == exam_id, Assessment.signed)
        newest_first = list(current.scalars(signed.order_by(Assessment.id.desc()).limit(2)))
        late = made.at < now() - blinding.UNDO_FOR
        if made.reader_id != reader.id or made not in newest_first[:1] or late:
            raise SignatureFinal(msg("signature-final", seconds=blinding.UNDO_FOR.seconds))
        current.add(Withdrawal(assessment_id=made.id, at=now()))
        if newest_first[1:]:
            _settle(exam, newest_first[1])
        else:
            exam.status = Status.NEW if exam.images else Status.FAILED
            exam.assessed = exam.assessed_at = exam.assessor_id = None
        audit_log.add(current, reader.name, "withdraw signature", exam_id)
    log.info("Withdrew an assessment of exam %s", exam_id)


def get(exam_id: str, assessment_id: int) -> Assessment:
    """Return one assessment of an exam; raise NotFound if there is none."""
    found = session().scalar(
        select(Assessment).where(Assessment.exam_id == exam_id, Assessment.id == assessment_id)
    )
    if found is None:
        raise NotFound(msg("assessment-missing"))
    return found


def numbered(assessment_id: int) -> Assessment:
    """Return an assessment by its number alone; raise NotFound if there is none."""
    found = session().get(Assessment, assessment_id)
    if found is None:
        raise NotFound(msg("assessment-missing"))
    return found


def history(exam: Exam) -> Sequence[Assessment]:
    """Return all assessments of an exam, newest first."""
    query = select(Assessment).where(Assessment.exam_id == exam.id).order_by(Assessment.id.desc())
    return session().scalars(query).all()


def newest(exam: Exam, reader: User | None = None) -> Assessment | None:
    """Return the newest signed assessment, else the newest other one, else None; or that reader's newest."""
    found = history(exam)
    if reader is not None:
        return next((each for each in found if each.reader_id == reader.id), None)
    return next((each for each in found if each.signed), found[0] if found else None)


def signed_meanwhile(exam: Exam, reader: User, seen: int) -> Assessment | None:
    """Return another reader's assessment signed after number ``seen``, the newest that the page showed; else None."""
    others = (each for each in history(exam) if each.signed and each.reader_id != reader.id)
    return next((each for each in others if each.id > seen), None)


def as_json(assessment: Assessment) -> dict[str, Any]:
    """Convert an assessment to JSON types for the API."""
    return {
        "reader": assessment.reader.name,
        "reader_name": assessment.reader_name or None,
        "reader_title": assessment.reader_title or None,
        "at": assessment.at.isoformat(timespec="seconds"),
        "signed": assessment.signed,
        "withdrawn": assessment.withdrawal is not None,
        "aided": assessment.aided,
        "category": assessment.overall or None,
        "breasts": breasts_of(assessment),
        "density": assessment.density,
        "findings": assessment.findings,
        "text": assessment.text,
        "sections": assessment.sections,
        "second_look": assessment.second_look,
    }


def breasts_of(assessment: Assessment) -> dict[str, str]:
    """Return the category of each assessed breast, by R and L."""
    return {
        side: category
        for side, category in zip(SIDES, (assessment.right, assessment.left), strict=True)
        if category
    }


def _record(exam: Exam, reader: User, draft: Draft) -> Assessment:
    return Assessment(
        exam_id=exam.id,
        reader_id=reader.id,
        at=now(),
        right=draft.breasts.get("R"),
        left=draft.breasts.get("L"),
        overall=draft.overall,
        density=draft.density,
        findings=[finding.as_json() for finding in draft.findings],
        text=draft.text.strip(),
        sections={name: text.strip() for name, text in draft.sections.items() if text.strip()},
        reader_name=reader.full_name,
        reader_title=reader.title,
        signature=draft.signed,
        second_look=draft.second_look,
        model=exam.model,
        model_category=exam.category,
    )


def _settle(exam: Exam, signed: Assessment) -> None:
    """Set the exam's status and its last signed assessment."""
    exam.status = Status.SECOND_LOOK if signed.second_look else Status.READ
    exam.assessed, exam.assessed_at, exam.assessor_id = signed.overall, signed.at, signed.reader_id


def _check(draft: Draft, exam: Exam) -> None:
    """Raise InvalidAssessment for unknown terms and for a signature under an incomplete assessment."""
    for side, category in draft.breasts.items():
        _among("breast", [side], offered(exam))
        _among("category", [category], choices(exam))
    _among("density", {draft.density} - {None}, DENSITIES)
    _among("sections", draft.sections, SECTIONS)
    for name, text in draft.sections.items():
        if len(text) > LONGEST_SECTION:
            raise InvalidAssessment(
                msg("report-text-too-long", section=name, letters=len(text), most=LONGEST_SECTION)
            )
    images = {finding.image for finding in draft.findings} - {None}
    _among("image", images, [image.id for image in exam.images])
    if len(draft.text) > LONGEST_TEXT or len(draft.findings) > MOST_FINDINGS:
        raise InvalidAssessment(
            msg(
                "assessment-too-long",
                letters=LONGEST_TEXT,
                findings=MOST_FINDINGS,
                text=len(draft.text),
                found=len(draft.findings),
            )
        )
    if draft.signed and (missing := lacking(exam, draft.breasts)):
        raise InvalidAssessment(
            msg(
                "breast-category-missing",
                sides=", ".join(missing),
            )
        )
    if draft.signed and (problems := contradictions(exam, draft.findings)):
        raise InvalidAssessment(join(problems))


def _among(field: str, got: Iterable[object], allowed: Iterable[str]) -> None:
    known = list(allowed)
    for value in got:
        if value not in known:
            raise InvalidAssessment(
                msg(
                    "assessment-value-unknown",
                    field=field,
                    value=repr(value),
                    known=", ".join(known),
                )
            )
