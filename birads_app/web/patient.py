"""Patient and exam date on pages and in reports, as the signed-in account may see them."""

from flask import Flask
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user

from birads_app.records import patient_details, reading_acts
from birads_app.records.patient_details import ExamDate, PatientDetails
from birads_app.records.schema import Exam
from birads_app.web.wording import day


def init_app(app: Flask) -> None:
    """Add the functions to the templates."""
    app.add_template_global(exam_date)
    app.add_template_filter(date_text, "date_text")
    app.add_template_filter(age_text, "age_text")


def shown(exam: Exam, where: str) -> PatientDetails:
    """Return the patient of an exam, and record it if the identity is shown.

    Parameters
    ----------
    where : page or document, in English, for the audit log
    """
    details = patient_details.of(exam, current_user)
    if details.identity is not None:
        reading_acts.identity_shown(current_user.name, exam.id, where)
    return details


def exam_date(exam: Exam) -> ExamDate | None:
    """Return the date of an exam, true for accounts that may see identities."""
    return patient_details.exam_date(exam, current_user)


def date_text(value: ExamDate | None) -> str:
    """Format the date of an exam, with "shifted" beside a date that is; empty if unknown."""
    if value is None:
        return ""
    return _("%(date)s (shifted)", date=day(value.day)) if value.shifted else day(value.day)


def age_text(years: int | None) -> str:
    """Format an age; empty if unknown."""
    return "" if years is None else ngettext("%(num)s year", "%(num)s years", years)
