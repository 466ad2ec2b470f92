"""Model cards."""

import re
from datetime import UTC, datetime
from itertools import count

from flask import Blueprint, abort, current_app, render_template
from markdown_it import MarkdownIt
from markupsafe import Markup

from birads_app.model import registry
from birads_app.terms.errors import BundleError
from birads_app.web.wording import day, moment, translated

bp = Blueprint("models", __name__, url_prefix="/models")

# CommonMark with tables; HTML stays text, images are not loaded.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
# A date, or a time with its zone, as cards state them; not within a longer word or path.
_DATE = re.compile(
    r"(?<![\w./-])\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?(?![\w/-])", re.ASCII
)

# Tables scroll within the page; cards are in English.
_SCROLLING = '<div class="table-scroll" role="region" aria-label="Table {}" tabindex="0"><table>'


@bp.get("/<name>")
def card(name: str) -> str:
    """Show a model card."""
    models = current_app.extensions["birads_settings"].models
    try:
        text = registry.card(models, name)
    except BundleError as error:
        abort(404, translated(error.message))
    return render_template("models/card.html", name=name, card=rendered(text))


def rendered(text: str) -> Markup:
    """Render Markdown as safe HTML, without its title, and with dates in the format of the pages."""
    tokens = _MARKDOWN.parse(text)
    for token in tokens:
        for part in token.children or []:
            if part.type == "text":
                part.content = _DATE.sub(_as_on_pages, part.content)
    if tokens and tokens[0].type == "heading_open":
        tokens = tokens[3:]
    for opening, words, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opening.type == "th_open" and not words.content:  # omit empty column headings
            opening.tag = closing.tag = "td"
    shown = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    numbers = count(1)
    opened = re.sub("<table>", lambda _: _SCROLLING.format(next(numbers)), shown)
    return Markup(opened.replace("</table>", "</table></div>"))


def _as_on_pages(found: re.Match[str]) -> str:
    """Write a date, or a time in UTC, as pages do; one that does not exist stays as it is."""
    try:
        at = datetime.fromisoformat(found[0])
    except ValueError:
        return found[0]
    return moment(at.astimezone(UTC)) if at.tzinfo else day(at.date())


def inline(text: str) -> Markup:
    """Render a line of Markdown as HTML, links as plain text."""
    (line,) = _MARKDOWN.parseInline(text)
    line.children = [one for one in line.children or [] if one.type not in ("link_open", "link_close")]
    return Markup(_MARKDOWN.renderer.render([line], _MARKDOWN.options, {}))
