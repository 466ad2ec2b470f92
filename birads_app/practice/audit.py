"""Audit metrics of signed assessments.

Terms are those of the American College of Radiology's basic audit (BI-RADS, 4th edition, follow-up and outcome
monitoring; table in AJR 193, 2009, page 157): patients are recalled at 0, 4 or 5, and biopsy is recommended at 4 or 5.
Exams with a known cancer (6) are excluded.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from birads_app.practice import agreement
from birads_app.practice.drift import Drift, drift
from birads_app.practice.estimates import Estimate, count, rate
from birads_app.practice.local_calibration import Reliability, reliability
from birads_app.records.signed_assessments import NONE, AssessmentRows, Filters, SignedAssessments

_RECALLED, _TISSUE = (0, 4, 5), (4, 5)
_PROVEN = 6
# The reader's categories that can be compared with a probability of 4 or higher: 0 is undecided, 6 was known before.
_DECIDED = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class AuditGroup:
    """Metrics for the exams of one month or the assessments of one reader.

    title : ``2026-03``, or the reader's name
    same : share of exams in which the model predicted the reader's category
    """

    title: str
    exams: int
    kappa: Estimate
    same: Estimate
    recall_rate: Estimate


@dataclass(frozen=True)
class CategoryAgreement:
    """Agreement for one category: among exams with it as the reader's category, and as the predicted one."""

    code: str
    of_reader: Estimate
    of_model: Estimate


@dataclass(frozen=True)
class OutcomeMeasures:
    """Performance measured against outcomes.

    ppv : share of malignant exams among those at 4 or 5
    sensitivity : share of malignant exams that were recalled, at 0, 4 or 5
    specificity : share of benign exams that were not
    """

    ppv: Estimate
    sensitivity: Estimate
    specificity: Estimate


@dataclass(frozen=True)
class Audit:
    """All metrics of the selected assessments.

    matrix : exams by the reader's category (rows) and the model's (columns), 7 by 7
    unanswered : exams without a predicted category
    outcomes, malignant : exams with known outcome, and those of them with cancer
    against_readers, against_outcomes : calibration of the model's probabilities; None without exams
    drift : calibration drift of the model used last
    drift_model : its name; empty without exams
    """

    exams: int
    patients: int
    overall: AuditGroup
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
    """Compute all metrics; ``rows`` are the selected ones of ``signed``, one for each reader and exam."""
    exams = rows.exams()
    decided = _decided(exams)
    followed_up = exams.where((exams.malignant != NONE) & (exams.read != _PROVEN))
    with_prediction = followed_up.where(np.isfinite(followed_up.p_suspicious))
    of_last_model, last_model = _drift_of_last_model(signed, decided)
    return Audit(
        exams=len(exams),
        patients=count(exams.patient),
        overall=_group("", exams),
        matrix=agreement.confusion(exams.read, exams.predicted),
        unanswered=int((exams.predicted == NONE).sum()),
        by_category=tuple(_by_category(exams)),
        by_month=tuple(_by_month(exams)),
        by_reader=tuple(
            _group(name, rows.where(rows.reader == reader))
            for reader, name in signed.readers.items()
            if (rows.reader == reader).any()
        ),
        outcomes=len(followed_up),
        malignant=int((followed_up.malignant == 1).sum()),
        reader=_against_outcomes(followed_up.read, followed_up.malignant),
        model=_against_outcomes(followed_up.predicted, followed_up.malignant),
        against_readers=reliability(decided.p_suspicious, np.isin(decided.read, _TISSUE), decided.patient),
        against_outcomes=reliability(
            with_prediction.p_suspicious, with_prediction.malignant == 1, with_prediction.patient
        ),
        drift=of_last_model,
        drift_model=last_model,
    )


def current_drift(signed: SignedAssessments) -> tuple[Drift, str]:
    """Return the calibration drift of the model used last, and its name; "" without exams."""
    return _drift_of_last_model(signed, _decided(signed.chosen(Filters()).exams()))


def _decided(exams: AssessmentRows) -> AssessmentRows:
    """Select the exams that can be compared with a probability."""
    return exams.where(np.isin(exams.read, _DECIDED) & np.isfinite(exams.p_suspicious))


def _drift_of_last_model(signed: SignedAssessments, decided: AssessmentRows) -> tuple[Drift, str]:
    last = decided.where(decided.model == decided.model[-1:])
    name = signed.models[last.model[-1]] if len(last) else ""
    return drift(last.p_suspicious, np.isin(last.read, _TISSUE)), name


def _group(title: str, rows: AssessmentRows) -> AuditGroup:
    answered = rows.where(rows.predicted != NONE)
    screened = rows.read[rows.read != _PROVEN]
    return AuditGroup(
        title,
        len(rows),
        agreement.kappa(rows.read, rows.predicted, rows.patient),
        rate(answered.read == answered.predicted),
        rate(np.isin(screened, _RECALLED)),
    )


def _by_month(exams: AssessmentRows) -> Iterator[AuditGroup]:
    """Yield every month from the first to the last one with an exam, including months without."""
    months = exams.day.astype("datetime64[M]")
    if len(months):
        for month in np.arange(months.min(), months.max() + 1):
            yield _group(str(month), exams.where(months == month))


def _by_category(exams: AssessmentRows) -> Iterator[CategoryAgreement]:
    answered = exams.where(exams.predicted != NONE)
    same = answered.read == answered.predicted
    for number in range(agreement.CATEGORIES):
        yield CategoryAgreement(
            str(number), rate(same[answered.read == number]), rate(same[answered.predicted == number])
        )


def _against_outcomes(category: np.ndarray, malignant: np.ndarray) -> OutcomeMeasures:
    """Measure categories, int (n,), against outcomes, 1 or 0 (n,)."""
    answered = category != NONE
    category, cancer = category[answered], malignant[answered] == 1
    recalled = np.isin(category, _RECALLED)
    return OutcomeMeasures(
        rate(cancer[np.isin(category, _TISSUE)]), rate(recalled[cancer]), rate(~recalled[~cancer])
    )
