"""The language of the pages: the account's own, else this session's, else the browser's, else English."""

from pathlib import Path

from flask import Blueprint, Flask, abort, has_request_context, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import Babel, get_locale
from flask_babel import gettext as _
from flask_login import current_user

from birads_app.records import users
from birads_app.records.schema import User
from birads_app.web import wording
from birads_app.web.safe_redirect import safe_target

LANGUAGES = {"en": "English", "de": "Deutsch"}
_CATALOGUES = Path(__file__).resolve().parent.parent / "translations"
_KEY = "language"

bp = Blueprint("language", __name__)


def init_app(app: Flask) -> None:
    """Set up translation and formats."""
    Babel(app, default_translation_directories=str(_CATALOGUES), locale_selector=_select)
    app.register_blueprint(bp)
    app.add_template_global(get_locale)
    app.add_template_filter(wording.translated)
    app.add_template_filter(wording.day)
    app.add_template_filter(wording.moment)
    for helper in (wording.percent, wording.percentage, wording.decimal, wording.images_of_patients):
        app.add_template_global(helper)
    app.jinja_env.globals["languages"] = LANGUAGES
    app.jinja_env.lstrip_blocks = True  # a tenth less for pages to carry


@bp.post("/language")
def choose() -> ResponseReturnValue:
    """Change the language and return to the page."""
    code = request.form.get("language", "")
    if code not in LANGUAGES:
        abort(
            400,
            _(
                "Unsupported language %(code)s. Supported: %(known)s.",
                code=repr(code),
                known=", ".join(LANGUAGES),
            ),
        )
    session[_KEY] = code
    if current_user.is_authenticated:
        users.set_language(current_user, code)
    return redirect(safe_target(request.form.get("next")) or url_for("reading.worklist"), 303)


def reset_session(user: User) -> None:
    """Start a new session at sign-in, in the account's language, else in the one chosen before."""
    chosen = user.language or session.get(_KEY)
    session.clear()
    if chosen in LANGUAGES:
        session[_KEY] = chosen


def _select() -> str | None:
    """Return the language of a request, from the session only, so that error pages work without a database."""
    if not has_request_context() or request.path.startswith("/api/"):
        return None  # English, in which the API's description, the log and DICOM objects are written
    if session.get(_KEY) in LANGUAGES:
        return str(session[_KEY])
    return request.accept_languages.best_match(list(LANGUAGES))
