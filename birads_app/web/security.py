"""Protection of responses and forms: response headers, CSRF tokens and the session cookie."""

from flask import Flask, Response, current_app, get_flashed_messages, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_wtf import CSRFProtect

csrf = CSRFProtect()

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "style-src 'self'",
        "script-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class PageSessionInterface(SecureCookieSessionInterface):
    """Cookie sessions that are renewed by pages, but not by requests of scripts.

    The response for an image that was requested before a form was submitted may arrive after the form's response. If it
    renewed the cookie, it would restore the earlier session: a flash message or a change of language would be lost, and
    a signed-out user would be signed in again.
    """

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set the cookie if the session was changed, and for pages opened by a browser; never for a static file."""
        if request.endpoint == "static":
            return
        is_page = request.method == "GET" and response.mimetype == "text/html" and is_seen()
        if session.modified or is_page:
            super().save_session(app, session, response)
        elif session.accessed:
            response.vary.add("Cookie")


def is_seen() -> bool:
    """Return False if the answer is not for the eye: to a script, for an image, or loaded in advance.

    Such an answer may be an error page, which must not use up the messages that wait for the next page.
    """
    headers = request.headers
    in_advance = "prefetch" in headers.get("Sec-Purpose", headers.get("Purpose", ""))
    return headers.get("Sec-Fetch-Dest", "document") == "document" and not in_advance


def waiting_messages() -> list[str]:
    """Return the messages that wait for the next page."""
    return [str(message) for message in get_flashed_messages()] if is_seen() else []


def init_app(app: Flask) -> None:
    """Protect all forms and set headers of all responses."""
    app.session_interface = PageSessionInterface()
    csrf.init_app(app)
    app.add_template_global(waiting_messages)
    app.after_request(_complete)


def private(response: Response) -> Response:
    """Allow only the reader's browser to cache a response, with revalidation."""
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _complete(response: Response) -> Response:
    """Add default headers. Anything but static files may show patients and must not be cached."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static" and not response.cache_control.private:
        response.headers["Cache-Control"] = "no-store"
    if current_app.config["SESSION_COOKIE_SECURE"]:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response
