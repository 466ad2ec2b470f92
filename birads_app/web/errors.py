"""Every error that reaches the outside is answered here: as a page, or as JSON under ``/api/``."""

import logging
from http import HTTPStatus

from flask import Flask, Response, current_app, jsonify, make_response, render_template, request
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge

from birads_app.inference.errors import BiradsError
from birads_app.intake import IntakeRefused
from birads_app.logs import where
from birads_app.records import migrate
from birads_app.statuses import status_of

log = logging.getLogger(__name__)

_MESSAGES = {
    404: "There is no such page. It may have been deleted.",
    405: "This address does not answer to that kind of request.",
    500: "Something went wrong on the server. The log says where; nothing was stored.",
}


def init_app(app: Flask) -> None:
    """Answer all errors."""
    app.register_error_handler(IntakeRefused, _intake_refused)
    app.register_error_handler(BiradsError, _domain_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OperationalError, _database_error)
    app.register_error_handler(Exception, _unexpected)


def answer(status: int, message: str, **details: object) -> Response:
    """Answer with an error.

    Parameters
    ----------
    message : what was received and what to do, for the user
    details : more members of the JSON answer
    """
    if request.path.startswith("/api/"):
        response = jsonify(error=message, **details)
    else:
        response = make_response(_page(status, message))
    response.status_code = status
    return response


def _page(status: int, message: str) -> str:
    """The error page; plain words where even that fails, for instance without a database."""
    title = HTTPStatus(status).phrase
    try:
        return render_template("errors/error.html", status=status, title=title, message=message)
    except Exception as error:
        log.error("The error page failed:\n%s", where(error))
        return f"<!doctype html><title>{title}</title><h1>{title}</h1><p>{message}</p>"


def _intake_refused(error: IntakeRefused) -> Response:
    problems = [{"file": problem.filename, "error": problem.message} for problem in error.problems]
    return answer(error.status, str(error), problems=problems)


def _domain_error(error: BiradsError) -> Response:
    status = status_of(error)
    if status >= 500:
        log.warning("Answered %d: %s", status, error)
    return answer(status, str(error))


def _http_error(error: HTTPException) -> Response:
    """Keep an HTTP error's headers, such as Allow; let answers that are none, such as redirects, through."""
    if error.response is not None or error.code is None or error.code < 400:
        return make_response(error.get_response())
    generic = error.description == type(error).description
    message = _MESSAGES.get(error.code) if generic else None
    if isinstance(error, RequestEntityTooLarge):
        settings = current_app.extensions["birads_settings"]
        message = (
            f"The upload is too large: one may have {settings.max_upload_mb} MB and {settings.max_files} "
            "files in all. Send fewer images at a time."
        )
    response = answer(error.code, message or error.description or error.name)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _database_error(error: OperationalError) -> Response:
    """Tell a database that was not prepared from one that is busy."""
    log.error("The database failed:\n%s", where(error))
    try:
        prepared = migrate.is_current()
    except SQLAlchemyError:
        return answer(503, "The database cannot be opened. The server's log says more.")
    if not prepared:
        return answer(503, "The database is not prepared. Run `flask db upgrade` on the server.")
    response = answer(503, "The database is busy. Try again in a moment.")
    response.headers["Retry-After"] = "10"
    return response


def _unexpected(error: Exception) -> Response:
    """Say nothing about the inside; the log says where."""
    if current_app.debug:
        raise error
    log.error("Unexpected error at %s:\n%s", request.endpoint, where(error))
    return answer(InternalServerError.code, _MESSAGES[500])
