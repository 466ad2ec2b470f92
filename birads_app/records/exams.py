"""Store and find exams with their images. Deleted ones are found in :mod:`birads_app.records.exam_bin` only."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, lazyload

from birads_app.model import aggregation
from birads_app.model.aggregation import ExamPrediction
from birads_app.records import audit_log, derived_files, files, summary
from birads_app.records.database import session, writing
from birads_app.records.errors import NotFound
from birads_app.records.schema import Exam, Image, Removed, User
from birads_app.terms.messages import msg

log = logging.getLogger(__name__)


def get(exam_id: str) -> Exam:
    """Return the exam with its images and uploader; raise NotFound if there is none."""
    exam = session().scalar(select(Exam).where(Exam.id == exam_id, present()))
    if exam is None:
        raise NotFound(msg("exam-missing"))
    return exam


def of_patient(pseudonym: str) -> bool:
    """Return True if the patient with this pseudonym has an exam."""
    return (
        session().scalar(select(Exam.id).where(Exam.pseudonym == pseudonym, present()).limit(1)) is not None
    )


def of_model(name: str) -> bool:
    """Return True if an exam, or one in the bin, has the result of a model with this name."""
    return session().scalar(select(Exam.id).where(Exam.model == name).limit(1)) is not None


def of_study(study_uid: str) -> bool:
    """Return True if the study has an exam."""
    return (
        session().scalar(select(Exam.id).where(Exam.study_uid == study_uid, present()).limit(1)) is not None
    )


def knows_study(*study_uids: str) -> bool:
    """Return True if one of these studies has an exam, be it deleted."""
    return session().scalar(select(Exam.id).where(Exam.study_uid.in_(study_uids)).limit(1)) is not None


def with_study(study_uid: str, limit: int = 20) -> Sequence[Exam]:
    """Return the last exams of a study, newest first."""
    of_study = select(Exam).where(Exam.study_uid == study_uid, present())
    return session().scalars(of_study.order_by(Exam.created_at.desc(), Exam.id).limit(limit)).all()


def with_ids(exam_ids: Sequence[str]) -> Sequence[Exam]:
    """Return the exams with these ids that are not deleted, in no particular order."""
    return session().scalars(select(Exam).where(Exam.id.in_(exam_ids), present())).all() if exam_ids else []


def image(exam_id: str, image_id: str) -> Image:
    """Return an image of an exam; raise NotFound if there is none."""
    wanted = select(Image).join(Image.exam).where(Image.id == image_id, Exam.id == exam_id, present())
    match = session().scalar(wanted.options(lazyload(Image.corrections), lazyload(Image.turnings)))
    if match is None:
        raise NotFound(msg("exam-image-missing"))
    return match


def to_correct(current: Session, exam_id: str, image_id: str) -> tuple[Exam, Image]:
    """Return an exam and one of its images, in a transaction; raise NotFound if it is not there, or deleted."""
    exam = current.get(Exam, exam_id)
    match = next((each for each in exam.images if each.id == image_id), None) if exam else None
    if exam is None or exam.removed or match is None:
        raise NotFound(msg("exam-image-missing"))
    return exam, match


def exists(exam_id: str) -> bool:
    """Return True if the exam is in the database, be it deleted."""
    return session().scalar(select(Exam.id).where(Exam.id == exam_id)) is not None


def holds_image(*uids: str) -> bool:
    """Return True if an image with one of these SOP Instance UIDs is stored."""
    stored = select(Image.id).join(Exam, Exam.id == Image.exam_id).where(Image.sop_uid.in_(uids), present())
    return session().scalar(stored.limit(1)) is not None


def fingerprints(*uids: str) -> set[str | None]:
    """Return the fingerprints of the stored images with one of these SOP Instance UIDs."""
    stored = select(Image.fingerprint).join(Exam, Exam.id == Image.exam_id)
    return set(session().scalars(stored.where(Image.sop_uid.in_(uids), present())))


def store(
    exam: Exam,
    draft: Path,
    who: User,
    acts: Iterable[tuple[str, str]] = (),
    check: Callable[[Session], None] | None = None,
) -> Exam:
    """Store an exam whose image files are complete in the draft folder; on an error nothing is stored.

    Parameters
    ----------
    acts : further entries of the audit log: what was done to the exam before, and the detail
    check : called in the transaction before anything is stored; raises an error if this process may not do so
    """
    summary.fill_in(exam)
    count, published = len(exam.images), False
    try:
        files.deposit(draft, exam)
        with writing() as current:
            if check is not None:
                check(current)
                files.withdraw(Exam(id=exam.id))  # remains of an attempt that was interrupted
            current.add(exam)
            current.flush()  # fails if another process has stored it: the files are that one's
            published = True
            audit_log.add(current, who.name, "store exam", exam.id)
            for action, detail in acts:
                audit_log.add(current, who.name, action, exam.id, detail)
            for reason in exam.attention or ():
                audit_log.add(current, who.name, _flag_of(reason), exam.id, str(reason))
            files.publish(draft, exam)
    except BaseException:
        if published:
            files.withdraw(exam)
        else:
            files.retract(exam)
        raise
    files.confirm(exam)
    log.info("Stored exam %s; images: %d", exam.id, count)
    return get(exam.id)


def _flag_of(reason: str) -> str:
    """Return the audit log's action for a reason for attention."""
    return "leave out images" if getattr(reason, "code", "").startswith("objects-") else "flag exam"


def undo(exam: Exam, who: User) -> None:
    """Remove an exam that was just stored, because its upload failed; raise NotFound if it is not there."""
    aside = files.set_aside(exam)
    try:
        with writing() as current:
            stored = current.get(Exam, exam.id)
            if stored is not None:
                current.delete(stored)
                audit_log.add(current, who.name, "undo upload", exam.id)
    except BaseException:
        aside.put_back()
        raise
    aside.remove()
    if stored is None:
        raise NotFound(msg("exam-missing"))
    log.info("Removed exam %s, whose upload failed", exam.id)


def aggregate(exam: Exam) -> ExamPrediction | None:
    """One answer for each breast and for the exam; None where it has no standard view."""
    return aggregation.aggregate(exam.images, exam.pooling)


def file(image: Image, kind: str) -> Path:
    """Return the file of an image; kinds and errors as in :func:`birads_app.records.derived_files.path`."""
    return derived_files.path(image, kind)


def all_ids() -> set[str]:
    """Return the ids of all exams that have files, those in the bin among them."""
    return set(session().scalars(select(Exam.id).where(Exam.status != Removed.ERASED)))


def has_files(exam_id: str) -> bool:
    """Return True if the database has the exam with its images, be it in the bin."""
    status = session().scalar(select(Exam.status).where(Exam.id == exam_id))
    return status is not None and status != Removed.ERASED


def has_image(exam_id: str, image_id: str) -> bool:
    """Return True if the database has the exam with this image, be it in the bin."""
    stored = select(Image.id).where(Image.id == image_id, Image.exam_id == exam_id)
    return session().scalar(stored) is not None


def present() -> ColumnElement[bool]:
    """Return the query condition that an exam is not deleted; it keeps SQLite from using an index on the status."""
    return Exam.status.not_in(tuple(Removed))
