"""Navigation of all pages."""

from collections.abc import Iterator

from flask import Flask, current_app
from flask_babel import gettext as _

from birads_app.web.access import may_change, may_view


def init_app(app: Flask) -> None:
    """Register the template function."""
    app.add_template_global(sections)


def sections() -> Iterator[tuple[str, str, str]]:
    """Yield (blueprint, endpoint, title) of every section that the signed-in user may view."""
    candidates = [
        ("reading", "reading.worklist", _("Exams")),
        ("practice", "practice.overview", _("Practice")),
        ("admin", "admin.overview", _("Administration")),
    ]
    if may_change("reading"):
        candidates.insert(1, ("reading", "reading.upload", _("New exam")))
    for area, endpoint, title in candidates:
        if may_view(area) and endpoint in current_app.view_functions:
            yield area, endpoint, title
