"""Content of a report on an assessment, for page, PDF and JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from flask_login import current_user

from birads_app.model.aggregation import ExamPrediction
from birads_app.records import amendments, assessments, blinding, exams, findings, side_markers
from birads_app.records.amendments import Amendment
from birads_app.records.findings import Finding
from birads_app.records.patient_details import PatientDetails
from birads_app.records.schema import Assessment, Exam, Image
from birads_app.terms import lexicon
from birads_app.terms.categories import DISCLAIMER, Category
from birads_app.terms.hanging import hanging
from birads_app.web import ai_marks, patient, wording
from birads_app.web.ai_marks import ShownMark
from birads_app.web.wording import translated


@dataclass(frozen=True)
class Described:
    """Finding as text: number on the images, from 1; kind; pairs (label, term)."""

    number: int
    kind: str
    details: Sequence[tuple[str, str]]
    finding: Finding


@dataclass(frozen=True)
class Report:
    """Report on an assessment.

    images : in hanging order
    findings : in the order in which they were entered
    count : number of the exam's assessments
    model : AI result, or None
    hidden : True if the AI result is not for the reader yet
    amendment : of the signed report before; None for a first report
    with_ai_marks : show the model's marks on the images
    """

    exam: Exam
    patient: PatientDetails
    assessment: Assessment
    images: Sequence[Image]
    findings: Sequence[Described]
    count: int
    model: ExamPrediction | None
    hidden: bool
    amendment: Amendment | None
    with_ai_marks: bool

    @property
    def amended(self) -> str:
        """Sentence on the report that this one replaces; empty for a first report."""
        if self.amendment is None:
            return ""
        replaced = self.amendment.replaced
        values = {"name": replaced.signer, "when": wording.moment(replaced.at)}
        return _("Replaces the report signed by %(name)s on %(when)s.", **values)

    @property
    def changes(self) -> list[tuple[str, str]]:
        """(label, text) of each change that the amendment made."""
        return list(amendments.labelled(self.amendment, translated)) if self.amendment else []

    @property
    def breasts(self) -> list[tuple[str, Category]]:
        """(title, category) of each breast that was assessed."""
        found = assessments.breasts_of(self.assessment)
        return [(translated(lexicon.SIDES[side]), lexicon.ASSESSMENTS[code]) for side, code in found.items()]

    @property
    def overall(self) -> Category | None:
        """Category of the exam; None in a draft without one."""
        return lexicon.ASSESSMENTS.get(self.assessment.overall)

    def section(self, code: str) -> str:
        """Return a part of :data:`birads_app.terms.lexicon.SECTIONS` as written, else its default."""
        written = self.assessment.sections.get(code, "")
        if written:
            return written
        if code == "technique" and self.images:
            return _("Mammography: %(views)s.", views=wording.views_label(self.images))
        if code == "management" and self.overall:
            return translated(self.overall.management)
        return _("Not stated.")

    def marks(self, image: Image) -> list[Described]:
        """Return the findings marked on an image."""
        return [one for one in self.findings if one.finding.image == image.id and one.finding.x is not None]

    @property
    def has_ai_marks(self) -> bool:
        """Return True if there are marks of the model that the reader may see."""
        return not self.hidden and ai_marks.exist(self.images)

    @property
    def shows_ai_marks(self) -> bool:
        """Return True if marks of the model are shown on the images."""
        return self.with_ai_marks and self.has_ai_marks

    def rings(self, image: Image) -> list[ShownMark]:
        """Return the model's marks that are shown on an image."""
        return ai_marks.of(image) if self.shows_ai_marks else []

    def label(self, image: Image) -> str:
        """Return an image's label."""
        return wording.short_label(image.laterality, image.view, self.images.index(image) + 1)

    def caption(self, image: Image) -> str:
        """Return an image's label, and that its side marker is drawn by this program."""
        label = self.label(image)
        return _("%(view)s, marker drawn", view=label) if side_markers.drawn(image) else label

    @property
    def top_categories_text(self) -> str:
        """The model's two most probable categories; empty without a result."""
        return wording.top_categories_text(self.model.index_breast.probabilities) if self.model else ""


def of(exam: Exam, assessment: Assessment, where: str, with_ai_marks: bool) -> Report:
    """Return the report on an assessment.

    Parameters
    ----------
    where : names the document in the audit log, if it shows the patient's identity
    with_ai_marks : show the model's marks, unless its result is hidden
    """
    history, hidden = assessments.history(exam), blinding.is_hidden(exam, current_user)
    return Report(
        exam=exam,
        patient=patient.shown(exam, where),
        assessment=assessment,
        images=hanging(exam.images),
        findings=described(assessment),
        count=len(history),
        model=None if hidden else exams.aggregate(exam),
        hidden=hidden,
        amendment=amendments.of(assessment, history),
        with_ai_marks=with_ai_marks,
    )


def described(assessment: Assessment) -> list[Described]:
    """Return an assessment's findings as text."""
    parsed = [findings.from_json(finding) for finding in assessment.findings]
    return [
        Described(
            number,
            translated(lexicon.FINDING_TYPES[one.kind].label),
            list(findings.labelled_terms(one, translated)),
            one,
        )
        for number, one in enumerate(parsed, start=1)
    ]


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON members: codes, no translated text."""
    exam, when, known = report.exam, report.patient.exam_date, report.patient.identity
    return {
        "exam": exam.id,
        "received_at": exam.created_at.isoformat(timespec="seconds"),
        "exam_date": when.day.isoformat() if when else None,
        "exam_date_shifted": bool(when and when.shifted),
        "pseudonym": exam.pseudonym,
        "patient": {
            "age": report.patient.age,
            "name": report.patient.name or None,
            "id": (known and known.patient_id) or None,
            "accession_number": (known and known.accession_number) or None,
        },
        "images": [
            {"id": image.id, "laterality": image.laterality, "view": image.view} for image in report.images
        ],
        "preliminary": not report.assessment.signed,
        "amends": amendments.as_json(report.amendment) if report.amendment else None,
        "assessment": assessments.as_json(report.assessment),
        "assessments": report.count,
        "model": {
            "name": exam.model,
            "demonstration": exam.demonstration,
            "hidden": report.hidden,
            "category": None if report.hidden else exam.category,
            "probability": None if report.hidden else exam.top_probability,
            "disclaimer": DISCLAIMER,
        },
    }
