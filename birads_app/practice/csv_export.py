"""CSV export of the audit's metrics."""

from collections.abc import Iterator, Sequence

import numpy as np

from birads_app.practice.audit import Audit, AuditGroup, OutcomeMeasures
from birads_app.practice.estimates import Estimate
from birads_app.practice.local_calibration import Reliability

FIGURES = ("figure", "of", "exams", "value", "low", "high")


def figures(audit: Audit) -> Iterator[Sequence[object]]:
    """Yield the header, then every metric with its number of exams and its 95% confidence interval."""
    yield FIGURES
    yield from _group("all", audit.overall)
    for title, groups in (("month", audit.by_month), ("reader", audit.by_reader)):
        for group in groups:
            yield from _group(f"{title} {group.title}", group)
    for one in audit.by_category:
        yield _figure("same category predicted", f"reader's BI-RADS {one.code}", one.of_reader)
        yield _figure("same category assessed", f"model's BI-RADS {one.code}", one.of_model)
    for read, row in enumerate(audit.matrix.tolist()):
        for predicted, exams in enumerate(row):
            yield "exams", f"reader's BI-RADS {read} and model's {predicted}", exams, "", "", ""
    yield from _against_outcomes("reader", audit.reader)
    yield from _against_outcomes("model", audit.model)
    yield from _reliability("readers", audit.against_readers)
    yield from _reliability("outcomes", audit.against_outcomes)
    for name, value in (("calibration change (t)", audit.drift.change), ("Spiegelhalter z", audit.drift.fit)):
        yield name, audit.drift_model, audit.drift.exams, _number(value), "", ""


def _group(of: str, group: AuditGroup) -> Iterator[Sequence[object]]:
    yield _figure("kappa", of, group.kappa)
    yield _figure("same category", of, group.same)
    yield _figure("recall rate", of, group.recall_rate)


def _against_outcomes(of: str, measures: OutcomeMeasures) -> Iterator[Sequence[object]]:
    yield _figure("PPV at 4 or higher", of, measures.ppv)
    yield _figure("sensitivity", of, measures.sensitivity)
    yield _figure("specificity", of, measures.specificity)


def _reliability(of: str, found: Reliability | None) -> Iterator[Sequence[object]]:
    if found is None:
        return
    yield _figure("expected calibration error", f"against {of}", found.error)
    yield _figure("Brier score", f"against {of}", found.brier)
    for one in found.bins:
        yield _figure("positive", f"against {of}, probability {one.expected:.3f}", one.found)


def _figure(name: str, of: str, figure: Estimate) -> Sequence[object]:
    return name, of, figure.exams, *map(_number, (figure.value, figure.low, figure.high))


def _number(value: float) -> float | None:
    """Round to four decimals; None if not finite."""
    return round(float(value), 4) if np.isfinite(value) else None
