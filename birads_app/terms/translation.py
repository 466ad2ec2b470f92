"""Marker of texts that are translated where a person sees them: the core knows no language."""


def N_(text: str) -> str:  # noqa: N802  # the name that gettext's tools know
    """Return the text itself; ``make translations`` gathers what is marked so."""
    return text
