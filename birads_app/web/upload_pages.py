"""Upload of exams: the page, the check before anything is sent as a whole, and the files."""

from collections.abc import Iterable, Iterator

from flask import abort, current_app, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from birads_app.files.shared_bytes import SharedBytes
from birads_app.imaging.source_file import SourceFile
from birads_app.intake import samples, upload_check, uploads
from birads_app.intake.ingest import FileProblem, IntakeRefused, check_count
from birads_app.intake.upload_check import BEGINNING, FILES_MAX, CheckedFile, PlannedExam
from birads_app.records import view_corrections
from birads_app.records.schema import Exam
from birads_app.terms.errors import ModelError
from birads_app.web.errors import wants_json
from birads_app.web.http_status import status_of
from birads_app.web.reading import bp, sample_exams
from birads_app.web.wording import translated

_CHECK_BYTES = FILES_MAX * (BEGINNING + 2048)


@bp.before_app_request
def _beginnings_only() -> None:
    """Limit what a check may bring, before the CSRF check reads the body."""
    if request.endpoint == "reading.check_upload":
        request.max_content_length = _CHECK_BYTES


@bp.route("/upload", methods=["GET", "POST"])
def upload() -> ResponseReturnValue:
    """Upload the images of one or more exams, grouped by study; sides and views may be set for each file."""
    if request.method != "POST":
        return _upload_page([], 200)
    files = list(_sent())
    return _read(len(files), files, once=True)


@bp.post("/upload/check")
def check_upload() -> ResponseReturnValue:
    """Check files by their beginnings: the parts ``files``, with the whole sizes in ``sizes``."""
    sent, sizes = request.files.getlist("files"), request.form.getlist("sizes", type=int)
    if len(sent) != len(sizes) or not 0 < len(sent) <= FILES_MAX:
        abort(400, _("The list of files is incomplete. Reload the page and choose the files again."))
    beginnings = (SourceFile(file.filename or "", file.stream.read(BEGINNING)) for file in sent)
    files = upload_check.check(zip(beginnings, sizes, strict=True))
    return jsonify(
        files=[_file_json(file) for file in files],
        exams=[_plan_json(one) for one in upload_check.plan(files)],
    )


@bp.post("/samples")
def try_sample() -> ResponseReturnValue:
    """Upload a sample exam."""
    name = request.form.get("sample", "")
    for sample in samples.available():
        if sample.name == name:
            return _read(len(sample.paths), (SourceFile(shown, data) for shown, data in sample.read()))
    return abort(404, _("Unknown sample exam: %(name)s.", name=repr(name)))


def _sent() -> Iterator[SourceFile]:
    """Yield the files of a form, with the sides and views that were set for them; raise InvalidView."""
    files, form = request.files.getlist("files"), request.form
    stated = [form.getlist("laterality"), form.getlist("view")]
    sides, views = ([each or None for each in values] or [None] * len(files) for values in stated)
    if not len(files) == len(sides) == len(views):
        abort(400, _("The list of files is incomplete. Reload the page and choose the files again."))
    for file, laterality, view in zip(files, sides, views, strict=True):
        view_corrections.check(laterality, view)
        if file.filename:
            yield SourceFile(file.filename, SharedBytes.from_stream(file.stream), laterality, view)


def _read(count: int, sent: Iterable[SourceFile], once: bool = False) -> ResponseReturnValue:
    """Analyse a number of files, then redirect to the exam, or to the list if there are several; show problems.

    ``once`` leads to the exam that is there already if the study is stored. A script gets JSON instead.
    """
    try:
        check_count(count)
        created = uploads.ingest(sent, current_user, once=once)
    except IntakeRefused as refusal:
        return _refused(refusal.problems, status_of(refusal))
    except ModelError as error:
        return _refused([FileProblem("", error.message, type(error))], status_of(error))
    if wants_json():
        return jsonify(exams=[_exam_json(exam, exam.already_stored) for exam in created]), 201
    # Messages are in the address, because a page loaded in advance would consume a flash message.
    known = sum(exam.already_stored for exam in created)
    if len(created) == 1:
        return redirect(url_for("reading.exam", exam_id=created[0].id, known=known or None), 303)
    return redirect(url_for("reading.worklist", taken=len(created) - known, known=known or None), 303)


def _refused(problems: list[FileProblem], status: int) -> ResponseReturnValue:
    if not wants_json():
        return _upload_page(problems, status)
    listed = [{"file": one.filename, "problem": translated(one.message)} for one in problems]
    return jsonify(problems=listed), status


def _upload_page(problems: list[FileProblem], status: int) -> tuple[str, int]:
    page = render_template(
        "reading/upload.html",
        problems=problems,
        max_bytes=current_app.config.get("MAX_CONTENT_LENGTH"),
        max_files=current_app.extensions["birads_settings"].max_files,
        most_checked=FILES_MAX,
        beginning=BEGINNING,
        **sample_exams(),
    )
    return page, status


def _file_json(file: CheckedFile) -> dict[str, object]:
    return {
        "problem": file.problem and translated(file.problem),
        "skipped": file.skipped and translated(file.skipped),
        "archive": file.archive,
        "laterality": file.laterality,
        "view": file.view,
        "without_view": file.without_view,
    }


def _plan_json(planned: PlannedExam) -> dict[str, object]:
    stored = planned.stored and _exam_json(planned.stored, already_stored=True)
    return {"files": planned.files, "stored": stored}


def _exam_json(exam: Exam, already_stored: bool) -> dict[str, object]:
    address = url_for("reading.exam", exam_id=exam.id, known=1 if already_stored else None)
    return {"address": address, "stored": already_stored}
