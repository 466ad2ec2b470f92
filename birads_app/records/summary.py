"""Summary of an exam for the worklist, stored with the exam so that the list need not load images."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from birads_app.model import aggregation
from birads_app.model.aggregation import ExamPrediction, ViewPrediction
from birads_app.records.schema import Exam
from birads_app.terms.hanging import View, hanging


class JudgedView(View, Protocol):
    """An image as stored in the database."""

    @property
    def probabilities(self) -> Mapping[str, float]: ...

    @property
    def standard(self) -> bool: ...


@dataclass(frozen=True)
class Summary:
    """Values of the columns of the same names in :class:`birads_app.records.schema.Exam`."""

    category: str | None
    top_probability: float | None
    p_suspicious: float | None
    views: str


def aggregate(images: Sequence[JudgedView], pooling: str) -> ExamPrediction | None:
    """One answer for each breast and for the exam; None where no image is a standard view."""
    views = [
        ViewPrediction(image.laterality, image.view, image.probabilities, image.standard) for image in images
    ]
    return aggregation.aggregate(views, pooling)


def summarise(images: Sequence[JudgedView], pooling: str) -> Summary:
    """Summarise an exam's images."""
    labels = [" ".join(filter(None, (image.laterality, image.view))) or "?" for image in hanging(images)]
    views, aggregated = ", ".join(labels)[:255], aggregate(images, pooling)
    if aggregated is None:
        return Summary(None, None, None, views)
    return Summary(
        aggregated.category,
        aggregated.index_breast.probabilities[aggregated.category],
        aggregated.p_suspicious,
        views,
    )


def fill_in(exam: Exam) -> None:
    """Fill in the summary columns of an exam that is about to be stored."""
    for name, value in asdict(summarise(exam.images, exam.pooling)).items():
        setattr(exam, name, value)
