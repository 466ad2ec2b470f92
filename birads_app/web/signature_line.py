"""Line on the exam that the reader has just signed, on the page that follows, with an undo for some seconds.

The assessment's number is in the address of that page: a message in the session could be used up by another request.
"""

from dataclasses import dataclass

from flask import request
from flask_babel import gettext as _
from flask_login import current_user

from birads_app.records import assessments, blinding, exams
from birads_app.records.errors import NotFound
from birads_app.records.schema import Assessment, Exam, now

PARAMETER = "signed"


@dataclass(frozen=True)
class SignatureLine:
    """The exam just signed.

    words : what came next
    seconds : for which the signature can still be withdrawn; 0 if it is final
    """

    exam: Exam
    assessment: Assessment
    words: str
    seconds: int


def shown() -> SignatureLine | None:
    """Return the line for the signature in the page's address; None without one, or if it is not the reader's."""
    number = request.args.get(PARAMETER, type=int)
    if number is None:
        return None
    try:
        made = assessments.numbered(number)
        exam = exams.get(made.exam_id)
    except NotFound:
        return None
    if made.reader_id != current_user.id or not made.signed:
        return None
    left = made.at + blinding.UNDO_FOR - now()
    here = request.view_args or {}
    if here.get("exam_id") == exam.id:
        words = ""
    else:
        words = _("Next exam opened.") if "exam_id" in here else _("No unread exams left.")
    return SignatureLine(exam, made, words, max(0, int(left.total_seconds())))
