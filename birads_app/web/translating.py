"""Texts that the core marked for translation, in the reader's language."""

from flask_babel import gettext


def say(text: str) -> str:
    """Translate a marked text as it stands: in a template's own calls a per cent sign would begin a placeholder."""
    return gettext(text) if text else ""
