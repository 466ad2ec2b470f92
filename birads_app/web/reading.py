"""The reading pages: worklist, upload, exam, and the images that they show."""

from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.datastructures import FileStorage

from birads_app import samples, wording
from birads_app.hanging import hanging
from birads_app.inference.bundle import Bundle
from birads_app.inference.categories import CATEGORIES, DISCLAIMER
from birads_app.inference.errors import ModelError
from birads_app.intake import IntakeRefused, Problem, check_count, take_in_studies
from birads_app.records import exams, files
from birads_app.records.models import Image
from birads_app.studies import Upload
from birads_app.web import charts
from birads_app.web.security import private

bp = Blueprint("reading", __name__)


@bp.app_context_processor
def _vocabulary() -> dict[str, Any]:
    """Give every template the field's words, and the model that serves."""
    return {
        "serving": _serving(),
        "categories": CATEGORIES,
        "disclaimer": DISCLAIMER,
        "hanging": hanging,
        "percent": wording.percent,
        "short_label": wording.short_label,
        "view_label": wording.view_label,
        "view_words": wording.view_words,
        "may_delete": exams.may_delete,
        "whole_of": exams.answer,
    }


@bp.get("/")
def worklist() -> str:
    """List the exams, newest first."""
    listing = exams.newest(page=request.args.get("page", 1, type=int))
    taken = request.args.get("taken", type=int)  # how many exams an upload has just become
    return render_template("reading/worklist.html", listing=listing, taken=taken, **_sample_exams())


@bp.route("/upload", methods=["GET", "POST"])
def upload() -> ResponseReturnValue:
    """Take in the images of one exam, or of several that are sorted by study."""
    if request.method == "GET":
        return _upload_page([], 200)
    return _read([_sent(file) for file in request.files.getlist("files") if file.filename])


def _sent(file: FileStorage) -> Upload:
    """A file of the form, to be read from its beginning each time."""

    def read() -> bytes:
        file.stream.seek(0)
        return file.stream.read()

    return Upload(file.filename or "", read)


@bp.post("/samples")
def try_sample() -> ResponseReturnValue:
    """Take in a sample exam by the way that uploads go."""
    name = request.form.get("sample", "")
    for sample in samples.available():
        if sample.name == name:
            return _read([Upload(shown, lambda data=data: data) for shown, data in sample.read()])  # type: ignore[misc]
    return abort(404, f"There is no sample exam named {name!r} here.")


@bp.get("/exams/<exam_id>")
def exam(exam_id: str) -> str:
    """Show what the model said about each image of an exam."""
    found = exams.get(exam_id)
    return render_template(
        "reading/exam.html",
        exam=found,
        whole=exams.answer(found),
        bar_chart=charts.bar_chart,
        certainty=wording.certainty,
        range_left_open=wording.range_left_open,
        breast_title=wording.breast_title,
        not_seen=wording.not_seen,
    )


@bp.route("/exams/<exam_id>/delete", methods=["GET", "POST"])
def delete(exam_id: str) -> ResponseReturnValue:
    """Ask first, then delete the exam with its images; for who uploaded it, and for administrators."""
    doomed = exams.get(exam_id)
    if not exams.may_delete(current_user, doomed):
        abort(403, "Only who uploaded an exam, or an administrator, may delete it.")
    if request.method == "GET":
        return render_template("reading/delete.html", exam=doomed)
    exams.delete(doomed, current_user)
    flash("The exam and its images were deleted.")
    return redirect(url_for("reading.worklist"), 303)


@bp.get("/exams/<exam_id>/images/<image_id>/<kind>")
def image(exam_id: str, image_id: str, kind: str) -> Response:
    """Deliver an image of an exam: ``display``, ``thumb``, ``heat-<category>``, or ``original`` to download."""
    wanted = exams.image(exam_id, image_id)
    return _original(wanted) if kind == "original" else private(send_file(exams.file(wanted, kind)))


def _read(uploads: list[Upload]) -> ResponseReturnValue:
    """Have the files read: to the exam's page, to the list where they are several, or back with every problem."""
    try:
        check_count(len(uploads))
        taken = take_in_studies(uploads, current_user)
    except IntakeRefused as refusal:
        return _upload_page(refusal.problems, refusal.status)
    except ModelError as error:
        return _upload_page([Problem("", str(error), 503)], 503)
    if len(taken) == 1:
        return redirect(url_for("reading.exam", exam_id=taken[0].id), 303)
    return redirect(url_for("reading.worklist", taken=len(taken)), 303)  # a flash would be lost on the script


def _upload_page(problems: list[Problem], status: int) -> tuple[str, int]:
    page = render_template(
        "reading/upload.html",
        problems=problems,
        max_bytes=current_app.config.get("MAX_CONTENT_LENGTH"),
        max_files=current_app.extensions["birads_settings"].max_files,
        **_sample_exams(),
    )
    return page, status


def _serving() -> Bundle | None:
    """The model that answers now, or None."""
    try:
        return current_app.extensions["birads_models"].get().bundle
    except ModelError:
        return None


def _sample_exams() -> dict[str, Any]:
    return {"samples": samples.available(), "samples_credit": samples.CREDIT}


def _original(image: Image) -> Response:
    """The file as it is stored, under a name of the server's making, never shown inside the page."""
    path = exams.file(image, "original")
    exam = image.exam
    number = hanging(exam.images).index(image) + 1  # as on the page
    name = f"exam-{exam.id[:8]}-image-{number}{path.suffix}"
    kind = files.media_type(image)
    return private(send_file(path, mimetype=kind, as_attachment=True, download_name=name))
