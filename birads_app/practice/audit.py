"""The audit of a practice: signed assessments -> figures.

Terms are those of the American College of Radiology's basic audit (BI-RADS, 4th edition, follow-up and outcome
monitoring; tabled in AJR 193, 2009, page 157): an exam is called back at 0, 4 or 5, tissue is asked for at 4 or 5.
A proven cancer (6) that is imaged again is no exam to be judged so.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from birads_app.practice import agreement
from birads_app.practice.drift import Drift, drift
from birads_app.practice.estimates import Estimate, count, rate
from birads_app.practice.local_calibration import Reliability, reliability
from birads_app.records.signed_assessments import NONE, AssessmentRows, SignedAssessments

_RECALLED, _TISSUE = (0, 4, 5), (4, 5)
_PROVEN = 6
# The reader's categories that a probability of 4 or higher can be held against: 0 is open, 6 known before.
_DECIDED = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class AuditGroup:
    """Exams of one month, or assessments of one reader.

    title : ``2026-03``, or the reader's name
    same : the share in which the model named the reader's category
    """

    title: str
    exams: int
    kappa: Estimate
    same: Estimate
    recall: Estimate


@dataclass(frozen=True)
class CategoryAgreement:
    """One category: how often the reader's came from the model too, and the model's from the reader."""

    code: str
    of_reader: Estimate
    of_model: Estimate


@dataclass(frozen=True)
class OutcomeMeasures:
    """Against outcomes.

    ppv : share of malignant exams among those at 4 or 5
    sensitivity : share of malignant exams that were called back, at 0, 4 or 5
    specificity : share of benign exams that were not
    """

    ppv: Estimate
    sensitivity: Estimate
    specificity: Estimate


@dataclass(frozen=True)
class Audit:
    """All figures of the chosen assessments.

    matrix : exams by the reader's category (rows) and the model's (columns), 7 by 7
    unanswered : exams for which the model had no category
    outcomes, malignant : exams whose outcome is known, and those of them with cancer
    against_readers, against_outcomes : what became of the model's probabilities; None where nothing can be told
    drift : of the model that read last, whose name ``drift_model`` is; empty without any exam
    """

    exams: int
    patients: int
    whole: AuditGroup
    matrix: np.ndarray
    unanswered: int
    by_category: tuple[CategoryAgreement, ...]
    by_month: tuple[AuditGroup, ...]
    by_reader: tuple[AuditGroup, ...]
    outcomes: int
    malignant: int
    reader: OutcomeMeasures
    model: OutcomeMeasures
    against_readers: Reliability | None
    against_outcomes: Reliability | None
    drift: Drift
    drift_model: str


def audit(signed: SignedAssessments, rows: AssessmentRows) -> Audit:
    """Reckon; ``rows`` are those of ``signed`` that count, one for each reader and exam."""
    exams = rows.exams()
    decided = exams.where(np.isin(exams.read, _DECIDED) & np.isfinite(exams.p_suspicious))
    known = exams.where((exams.malignant != NONE) & (exams.read != _PROVEN))
    judged = known.where(np.isfinite(known.p_suspicious))
    last = decided.where(decided.model == decided.model[-1:])
    return Audit(
        exams=len(exams),
        patients=count(exams.patient),
        whole=_part("", exams),
        matrix=agreement.confusion(exams.read, exams.named),
        unanswered=int((exams.named == NONE).sum()),
        by_category=tuple(_by_category(exams)),
        by_month=tuple(_by_month(exams)),
        by_reader=tuple(
            _part(name, rows.where(rows.reader == reader))
            for reader, name in signed.readers.items()
            if (rows.reader == reader).any()
        ),
        outcomes=len(known),
        malignant=int((known.malignant == 1).sum()),
        reader=_proven(known.read, known.malignant),
        model=_proven(known.named, known.malignant),
        against_readers=reliability(decided.p_suspicious, np.isin(decided.read, _TISSUE), decided.patient),
        against_outcomes=reliability(judged.p_suspicious, judged.malignant == 1, judged.patient),
        drift=drift(last.p_suspicious, np.isin(last.read, _TISSUE)),
        drift_model=signed.models[last.model[-1]] if len(last) else "",
    )


def _part(title: str, rows: AssessmentRows) -> AuditGroup:
    answered = rows.where(rows.named != NONE)
    screened = rows.read[rows.read != _PROVEN]
    return AuditGroup(
        title,
        len(rows),
        agreement.kappa(rows.read, rows.named, rows.patient),
        rate(answered.read == answered.named),
        rate(np.isin(screened, _RECALLED)),
    )


def _by_month(exams: AssessmentRows) -> Iterator[AuditGroup]:
    """Every month from the first to the last one with an exam, also those without."""
    months = exams.day.astype("datetime64[M]")
    if len(months):
        for month in np.arange(months.min(), months.max() + 1):
            yield _part(str(month), exams.where(months == month))


def _by_category(exams: AssessmentRows) -> Iterator[CategoryAgreement]:
    answered = exams.where(exams.named != NONE)
    same = answered.read == answered.named
    for number in range(agreement.CATEGORIES):
        yield CategoryAgreement(
            str(number), rate(same[answered.read == number]), rate(same[answered.named == number])
        )


def _proven(category: np.ndarray, malignant: np.ndarray) -> OutcomeMeasures:
    """How categories, int (n,), stand to outcomes, 1 or 0 (n,)."""
    answered = category != NONE
    category, cancer = category[answered], malignant[answered] == 1
    called = np.isin(category, _RECALLED)
    return OutcomeMeasures(
        rate(cancer[np.isin(category, _TISSUE)]), rate(called[cancer]), rate(~called[~cancer])
    )
