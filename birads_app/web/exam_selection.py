"""Exams selected in the worklist."""

from flask import abort
from flask_babel import gettext as _

from birads_app.records import exams
from birads_app.records.schema import Exam

_SELECTED_MAX = 100


def selected(ids: list[str]) -> list[Exam]:
    """Return the exams with these ids; answers 400 for none or too many."""
    if not 1 <= len(ids) <= _SELECTED_MAX:
        abort(400, _("Select 1 to %(most)d exams. Got %(number)d.", most=_SELECTED_MAX, number=len(ids)))
    return [exams.get(exam_id) for exam_id in dict.fromkeys(ids)]
