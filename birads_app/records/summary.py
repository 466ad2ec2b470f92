"""Summary of an exam for the worklist, stored with the exam so that the list need not load images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from birads_app.model import aggregation
from birads_app.model.aggregation import PredictedView
from birads_app.records.schema import Exam
from birads_app.terms.hanging import hanging


@dataclass(frozen=True)
class Summary:
    """Values of the columns of the same names in :class:`birads_app.records.schema.Exam`."""

    category: str | None
    top_probability: float | None
    p_suspicious: float | None
    views: str


def summarise(images: Sequence[PredictedView], pooling: str) -> Summary:
    """Summarise an exam's images."""
    labels = [" ".join(filter(None, (image.laterality, image.view))) or "?" for image in hanging(images)]
    views, aggregated = ", ".join(labels)[:255], aggregation.aggregate(images, pooling)
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
