"""Model cards."""

from flask import Blueprint, abort, current_app, render_template
from markdown_it import MarkdownIt
from markupsafe import Markup

from birads_app.model import registry
from birads_app.terms.errors import BundleError
from birads_app.web.wording import translated

bp = Blueprint("models", __name__, url_prefix="/models")

# CommonMark with tables; HTML stays text, images are not loaded.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


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
    """Render Markdown as safe HTML, without its title."""
    tokens = _MARKDOWN.parse(text)
    if tokens and tokens[0].type == "heading_open":
        tokens = tokens[3:]
    for opening, words, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opening.type == "th_open" and not words.content:  # omit empty column headings
            opening.tag = closing.tag = "td"
    return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def inline(text: str) -> Markup:
    """Render a line of Markdown as HTML, links as plain text."""
    (line,) = _MARKDOWN.parseInline(text)
    line.children = [one for one in line.children or [] if one.type not in ("link_open", "link_close")]
    return Markup(_MARKDOWN.renderer.render([line], _MARKDOWN.options, {}))
