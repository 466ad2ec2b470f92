"""Reasons for caution with the AI result of an exam."""

from dataclasses import dataclass

from birads_app.model.aggregation import ExamPrediction
from birads_app.records import view_corrections
from birads_app.records.schema import Exam, Image
from birads_app.terms.hanging import hanging
from birads_app.terms.messages import msg
from birads_app.terms.views import ViewRole
from birads_app.web.wording import missing_views_text, short_label, translated


@dataclass(frozen=True)
class Caveat:
    """A reason for caution.

    text : in the reader's language
    views : labels of the images concerned; empty for the exam as a whole
    """

    text: str
    views: tuple[str, ...] = ()


def _unknown(image: Image) -> list[str]:
    """Return a warning about an image of which neither file nor picture tells the view."""
    codes = {getattr(warning, "code", "") for warning in image.prediction.warnings}
    explained = codes & {"view-not-understood", "view-contradiction", "side-contradiction"}
    return [msg("view-unknown")] if image.role == ViewRole.UNKNOWN and not explained else []


def caveats(exam: Exam, aggregate: ExamPrediction | None) -> list[Caveat]:
    """Return missing views and the warnings of images, each once with the views that it concerns."""
    missing = missing_views_text(aggregate) if aggregate else ""
    of_exam = [Caveat(missing)] if missing else []
    by_text: dict[str, list[str]] = {}
    for number, image in enumerate(hanging(exam.images), 1):
        for warning in [*view_corrections.prediction_of(image).warnings, *_unknown(image)]:
            by_text.setdefault(warning, []).append(short_label(image.laterality, image.view, number))
    count = len(exam.images)
    return of_exam + [
        Caveat(translated(text), () if len(views) == count > 1 else tuple(views))
        for text, views in by_text.items()
    ]
