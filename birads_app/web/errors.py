"""Responses to all errors: a page, or JSON under ``/api/``."""

import logging
from http import HTTPStatus

from flask import Flask, Response, current_app, jsonify, make_response, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_wtf.csrf import CSRFError
from markupsafe import escape
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge, SecurityError

from birads_app.intake.ingest import IntakeRefused
from birads_app.logs import request_id, where
from birads_app.monitoring import instruments
from birads_app.records import disk_space, migrate
from birads_app.records.disk_space import DiskFull, DiskReadOnly
from birads_app.records.write_failures import Failure, is_unwritable, reason_of
from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import msg
from birads_app.web.http_status import status_of
from birads_app.web.wording import translated

log = logging.getLogger(__name__)

_MESSAGES = {
    404: lazy("Page not found. It may have been deleted."),
    405: lazy("This address does not accept that request method."),
    408: lazy("The request did not arrive in time. Send it again."),
    500: lazy("Internal server error. Nothing was saved. See the server log."),
    507: lazy("The server's disk is full. Nothing was saved. An administrator must free up space."),
}
_EXPIRED = lazy(
    "This form has expired: the session ended, or someone signed in or out in another window. "
    "Nothing was saved. Go back, reload the page and submit the form again."
)
_WRONG_ORIGIN = lazy(
    "The form was rejected: its origin does not match this server's address. If this happens to all "
    "users, check BIRADS_PROXY_HOPS."
)


def init_app(app: Flask) -> None:
    """Register handlers for all errors."""
    app.register_error_handler(IntakeRefused, _intake_refused)
    app.register_error_handler(BiradsError, _domain_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(CSRFError, _forged_form)
    app.register_error_handler(OperationalError, _database_error)
    app.register_error_handler(OSError, _system_error)
    app.register_error_handler(OverflowError, _no_such_number)
    app.register_error_handler(Exception, _unexpected)


def answer(status: int, message: str, **details: object) -> Response:
    """Return an error response.

    Parameters
    ----------
    message : shown to the user
    details : more members of the JSON response
    """
    if status == 507:
        instruments.count_refusal("DiskNotWritable")
    if request.path.startswith("/api/") or wants_json():
        response = jsonify(error=message, **details, request_id=request_id.get())
    else:
        response = make_response(_page(status, message))
    response.status_code = status
    return response


def wants_json() -> bool:
    """Return True for a request of a page's script that asks for JSON."""
    return request.accept_mimetypes.best == "application/json"


def _page(status: int, message: str) -> str:
    """Render the error page; plain HTML if that fails, for instance without a database."""
    title = HTTPStatus(status).phrase
    plain = (
        f"<!doctype html><title>{title}</title><h1>{title}</h1><p>{escape(message)}</p>"
        f"<p>Request ID: {request_id.get()}</p>"
    )
    if isinstance(request.routing_exception, SecurityError):  # links cannot be made for an untrusted host
        return plain
    try:
        return render_template(
            "errors/error.html", status=status, title=title, message=message, request_id=request_id.get()
        )
    except Exception as error:
        log.error("The error page failed:\n%s", where(error))
        return plain


def _intake_refused(error: IntakeRefused) -> Response:
    problems = [{"file": problem.filename, "error": problem.message} for problem in error.problems]
    return answer(status_of(error), translated(error.message), problems=problems)


def _domain_error(error: BiradsError) -> Response:
    status = status_of(error)
    if status >= 500:
        log.warning("Answered %d: %s", status, error)
    response = answer(status, translated(error.message))
    if wait := getattr(error, "wait", None):
        response.retry_after = wait
    return response


def _http_error(error: HTTPException) -> Response:
    """Keep an HTTP error's headers, such as Allow; pass redirects through."""
    if error.response is not None or error.code is None or error.code < 400:
        return make_response(error.get_response())
    generic = error.description == type(error).description
    message = str(_MESSAGES.get(error.code, "")) if generic else ""
    if isinstance(error, RequestEntityTooLarge):
        instruments.count_refusal("RequestTooLarge")
        message = _too_large()
    response = answer(error.code, message or error.description or error.name)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _too_large() -> str:
    settings = current_app.extensions["birads_settings"]
    if request.max_content_length != current_app.config["MAX_CONTENT_LENGTH"]:
        return _("The form is too large.")
    return _(
        "The upload is too large: the limit is %(size)d MB and %(files)d files. Upload fewer images at a time.",
        size=settings.max_upload_mb,
        files=settings.max_files,
    )


def _forged_form(error: CSRFError) -> Response:
    """Refuse a form without a valid CSRF token, most often from a page left open."""
    by_origin = "referrer" in (error.description or "")
    return answer(400, str(_WRONG_ORIGIN if by_origin else _EXPIRED))


def _database_error(error: OperationalError) -> Response:
    """Distinguish an outdated database, a full or read-only disk and a busy database."""
    log.error("The database failed:\n%s", where(error))
    failure = reason_of(error)
    if is_unwritable(error) or failure is Failure.UNREACHABLE:  # SQLite cannot be opened on a read-only disk
        try:
            disk_space.check(current_app.extensions["birads_settings"])
        except (DiskFull, DiskReadOnly) as reason:
            return _domain_error(reason)
    if failure is Failure.FULL:
        return answer(507, str(_MESSAGES[507]))
    if failure is Failure.READ_ONLY:
        return _domain_error(DiskReadOnly(msg("disk-read-only")))
    if is_unwritable(error):
        return answer(507, _("The server's disk cannot be written. Nothing was saved. See the server log."))
    try:
        prepared = migrate.can_serve()
    except SQLAlchemyError:
        return answer(503, _("The database cannot be opened. See the server log."))
    if not prepared:
        return answer(503, _("The database is not prepared. Run `flask db upgrade` on the server."))
    response = answer(503, _("The database is busy. Try again in a moment."))
    response.headers["Retry-After"] = "10"
    return response


def _no_such_number(error: OverflowError) -> Response:
    """Answer 404 for a number in an address that does not fit the database."""
    return answer(404, str(_MESSAGES[404]))


def _system_error(error: OSError) -> Response:
    """Distinguish a full or read-only disk from other system errors."""
    if error.errno in disk_space.READ_ONLY:
        return _domain_error(DiskReadOnly(msg("disk-read-only")))
    if error.errno not in disk_space.FULL:
        return _unexpected(error)
    log.error("The disk is full:\n%s", where(error))
    return answer(507, str(_MESSAGES[507]))


def _unexpected(error: Exception) -> Response:
    """Reveal nothing; the log has the traceback."""
    if current_app.debug:
        raise error
    log.error("Unexpected error at %s:\n%s", request.endpoint, where(error))
    return answer(InternalServerError.code, str(_MESSAGES[500]))
