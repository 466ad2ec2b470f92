"""What the worklist shows of an exam, kept with it so that the list need not open a single image."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from birads_app.model import aggregation
from birads_app.model.aggregation import ExamAnswer, ViewAnswer
from birads_app.records.schema import Exam
from birads_app.terms.hanging import View, hanging


class JudgedView(View, Protocol):
    """An image as the database has it."""

    @property
    def probabilities(self) -> Mapping[str, float]: ...

    @property
    def standard(self) -> bool: ...


@dataclass(frozen=True)
class Summary:
    """The columns of :class:`birads_app.records.schema.Exam` of the same names."""

    category: str | None
    certainty: float | None
    suspicion: float | None
    views: str


def answer(images: Sequence[JudgedView], rule: str) -> ExamAnswer | None:
    """One answer for each breast and for the exam; None where no image is a standard view."""
    views = [
        ViewAnswer(image.laterality, image.view, image.probabilities, image.standard) for image in images
    ]
    return aggregation.answer(views, rule)


def summarise(images: Sequence[JudgedView], rule: str) -> Summary:
    """Sum an exam's images up."""
    labels = [" ".join(filter(None, (image.laterality, image.view))) or "?" for image in hanging(images)]
    views, whole = ", ".join(labels)[:255], answer(images, rule)
    if whole is None:
        return Summary(None, None, None, views)
    return Summary(whole.category, whole.leading.probabilities[whole.category], whole.suspicion, views)


def note(exam: Exam) -> None:
    """Enter the summary into an exam that is about to be stored."""
    for name, value in asdict(summarise(exam.images, exam.rule)).items():
        setattr(exam, name, value)
