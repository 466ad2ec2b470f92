"""Catalogues of translations: complete, up to date and compiled."""

import io
from collections.abc import Iterator
from functools import cache

import pytest
from babel.messages import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

from birads_app.web.language import LANGUAGES
from tests.support.packages import ROOT

FOLDER = ROOT / "birads_app" / "translations"
OTHERS = [code for code in LANGUAGES if code != "en"]
KEYWORDS = {**DEFAULT_KEYWORDS, "lazy": None, "lazy_gettext": None, "N_": None}


@cache
def source_texts() -> Catalog:
    """Extract all translatable texts, as `make translations` does."""
    catalog = Catalog()
    settings = "birads_app.web.admin.setting_texts.extract"
    for folder, pattern, method in (
        ("birads_app", "**.py", "python"),
        ("templates", "**.html", "jinja2"),
        ("docs", "settings.md", settings),
    ):
        extracted = extract_from_dir(str(ROOT / folder), [(pattern, method)], keywords=KEYWORDS)
        for name, line, text, comments, context in extracted:
            catalog.add(text, None, [(name, line)], auto_comments=comments, context=context)
    return catalog


def catalogue(code: str) -> Catalog:
    with (FOLDER / code / "LC_MESSAGES" / "messages.po").open("rb") as stream:
        return read_po(stream, locale=code)


def messages(catalog: Catalog) -> Iterator[Message]:
    return (message for message in catalog if message.id)


def key(message: Message) -> str:
    """Return the text, in the singular if there is a plural."""
    return message.id if isinstance(message.id, str) else message.id[0]


@pytest.mark.parametrize("code", OTHERS)
def test_the_german_catalogue_is_complete(code: str) -> None:
    known = catalogue(code)
    translated = {key(message) for message in messages(known) if message.string and all(message.string)}
    texts = {key(message) for message in messages(source_texts())}
    assert not texts - translated, f"Run make translations, then translate: {texts - translated}"
    assert not translated - texts, f"Run make translations; not used any more: {translated - texts}"


@pytest.mark.parametrize("code", OTHERS)
def test_translations_have_the_placeholders_of_the_original(code: str) -> None:
    known = catalogue(code)
    assert [(message.id, errors) for message in known if (errors := list(message.check(known)))] == []


@pytest.mark.parametrize("code", OTHERS)
def test_the_compiled_catalogue_equals_the_source(code: str) -> None:
    written = io.BytesIO()
    write_mo(written, catalogue(code))
    compiled = (FOLDER / code / "LC_MESSAGES" / "messages.mo").read_bytes()
    assert {key(m): m.string for m in messages(read_mo(io.BytesIO(compiled)))} == {
        key(m): m.string for m in messages(read_mo(io.BytesIO(written.getvalue())))
    }


def test_the_extraction_finds_texts_of_pages_and_core() -> None:
    texts = {key(message) for message in messages(source_texts())}
    assert {"Sign in", "Probably benign", "Next exam opened.", "Port of the PACS."} <= texts
