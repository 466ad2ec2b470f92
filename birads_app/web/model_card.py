"""A model's card, for everybody who reads exams that it judged."""

from flask import Blueprint, abort, current_app, render_template
from markdown_it import MarkdownIt
from markupsafe import Markup

from birads_app.model import registry
from birads_app.terms.errors import BundleError
from birads_app.web.wording import translated

bp = Blueprint("models", __name__, url_prefix="/models")

# CommonMark with tables. What looks like HTML stays text, and a picture would have to be loaded from elsewhere.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


@bp.get("/<name>")
def card(name: str) -> str:
    """Show what a model is, what it learned from, and how good it is."""
    models = current_app.extensions["birads_settings"].models
    try:
        text = registry.card(models, name)
    except BundleError as error:
        abort(404, translated(error.message))
    return render_template("models/card.html", name=name, card=rendered(text))


def rendered(text: str) -> Markup:
    """Markdown as HTML that can do no harm, without its title, which the page has already."""
    tokens = _MARKDOWN.parse(text)
    if tokens and tokens[0].type == "heading_open":
        tokens = tokens[3:]
    for opening, words, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opening.type == "th_open" and not words.content:  # a heading without words heads nothing
            opening.tag = closing.tag = "td"
    return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def inline(text: str) -> Markup:
    """A line of Markdown as HTML, with the words of links but not where they lead."""
    (line,) = _MARKDOWN.parseInline(text)
    line.children = [one for one in line.children or [] if one.type not in ("link_open", "link_close")]
    return Markup(_MARKDOWN.renderer.render([line], _MARKDOWN.options, {}))
