"""The figures as a table to take along."""

from collections.abc import Iterator, Sequence

import numpy as np

from birads_app.practice.audit import Audit, AuditGroup, OutcomeMeasures
from birads_app.practice.estimates import Estimate
from birads_app.practice.local_calibration import Reliability

FIGURES = ("figure", "of", "exams", "value", "low", "high")


def figures(audit: Audit) -> Iterator[Sequence[object]]:
    """Every figure with its number of exams and the bounds of its 95 % interval, the header first."""
    yield FIGURES
    yield from _part("all", audit.whole)
    for title, parts in (("month", audit.by_month), ("reader", audit.by_reader)):
        for part in parts:
            yield from _part(f"{title} {part.title}", part)
    for one in audit.by_category:
        yield _figure("named by the model too", f"reader's BI-RADS {one.code}", one.of_reader)
        yield _figure("named by the reader too", f"model's BI-RADS {one.code}", one.of_model)
    for read, row in enumerate(audit.matrix.tolist()):
        for named, exams in enumerate(row):
            yield "exams", f"reader's BI-RADS {read} and model's {named}", exams, "", "", ""
    yield from _proven("reader", audit.reader)
    yield from _proven("model", audit.model)
    yield from _reliability("readers", audit.against_readers)
    yield from _reliability("outcomes", audit.against_outcomes)
    for name, value in (("calibration change (t)", audit.drift.change), ("Spiegelhalter z", audit.drift.fit)):
        yield name, audit.drift_model, audit.drift.exams, _number(value), "", ""


def _part(of: str, part: AuditGroup) -> Iterator[Sequence[object]]:
    yield _figure("kappa", of, part.kappa)
    yield _figure("same category", of, part.same)
    yield _figure("recall rate", of, part.recall)


def _proven(of: str, proven: OutcomeMeasures) -> Iterator[Sequence[object]]:
    yield _figure("PPV at 4 or higher", of, proven.ppv)
    yield _figure("sensitivity", of, proven.sensitivity)
    yield _figure("specificity", of, proven.specificity)


def _reliability(of: str, found: Reliability | None) -> Iterator[Sequence[object]]:
    if found is None:
        return
    yield _figure("calibration error", f"against {of}", found.error)
    yield _figure("Brier score", f"against {of}", found.brier)
    for one in found.bins:
        yield _figure("positive", f"against {of}, probability {one.expected:.3f}", one.found)


def _figure(name: str, of: str, figure: Estimate) -> Sequence[object]:
    return name, of, figure.exams, *map(_number, (figure.value, figure.low, figure.high))


def _number(value: float) -> float | None:
    """Four decimals; None for what cannot be told."""
    return round(float(value), 4) if np.isfinite(value) else None
