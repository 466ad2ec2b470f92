"""Other exams of the same study: the study came again, or further images of it arrived later."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from birads_app.records import exams
from birads_app.records.schema import Exam, Image
from birads_app.terms.translation import N_


class Relation(StrEnum):
    """Images of the other exam compared with those of this one."""

    SAME = "same"
    MORE = "more"
    FEWER = "fewer"
    CHANGED = "changed"
    OTHER = "other"


RELATIONS = {
    Relation.SAME: N_("the same images"),
    Relation.MORE: N_("these images and more"),
    Relation.FEWER: N_("some of these images"),
    Relation.CHANGED: N_("changed images"),
    Relation.OTHER: N_("other images"),
}


@dataclass(frozen=True)
class RelatedExam:
    """Another exam of the study."""

    exam: Exam
    relation: Relation


def related(exam: Exam) -> list[RelatedExam]:
    """Return the other exams of an exam's study that have images, newest first."""
    if exam.study_uid is None:
        return []
    others = [other for other in exams.with_study(exam.study_uid) if other.id != exam.id and other.images]
    return [RelatedExam(other, _relation(exam.images, other.images)) for other in others]


def _relation(these: Sequence[Image], others: Sequence[Image]) -> Relation:
    here, there = ({image.sop_uid: image for image in images} for images in (these, others))
    common = here.keys() & there.keys() - {None}
    if any(_differ(here[uid], there[uid]) for uid in common):
        return Relation.CHANGED
    if not common:
        return Relation.OTHER
    if here.keys() == there.keys():
        return Relation.SAME
    if here.keys() < there.keys():
        return Relation.MORE
    return Relation.FEWER if there.keys() < here.keys() else Relation.OTHER


def _differ(one: Image, other: Image) -> bool:
    """Return True if both fingerprints are known and differ."""
    return None not in (one.fingerprint, other.fingerprint) and one.fingerprint != other.fingerprint
