"""Query parameters of the worklist; the session keeps the last query."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import abort, session
from flask_babel import gettext as _

from birads_app.records import blinding
from birads_app.records.worklist import LISTS, SORTS, Query
from birads_app.terms.categories import CATEGORIES

_KEY = "worklist"
_TELLING = ("suspicious",)  # orders by the AI result


def query_of(parameters: Mapping[str, str]) -> Query:
    """Parse query parameters; answers 400 for an invalid value, or for one that would tell what the model says."""
    if blinding.is_on() and _tells(parameters):
        abort(400, _("Exams are read blinded: the list cannot be sorted or filtered by the AI result."))
    return Query(
        list=_one_of(LISTS, "list", parameters.get("list") or Query.list),
        sort=_one_of(SORTS, "sort", parameters.get("sort") or Query.sort),
        pseudonyms=tuple(filter(None, [parameters.get("patient", "").strip().upper()[:16]])),
        category=_one_of(CATEGORIES, "category", parameters["category"])
        if parameters.get("category")
        else None,
        reader=parameters.get("reader", "").strip()[:64] or None,
        since=_day("since", parameters.get("since", "")),
        until=_day("until", parameters.get("until", "")),
        attention=bool(parameters.get("attention")),
    )


def parameters_of(query: Query) -> dict[str, Any]:
    """Return the query parameters that differ from the defaults."""
    parameters = {
        "list": query.list if query.list != Query.list else "",
        "sort": query.sort if query.sort != Query.sort else "",
        "patient": "".join(query.pseudonyms),
        "category": query.category,
        "reader": query.reader,
        "since": query.since and query.since.isoformat(),
        "until": query.until and query.until.isoformat(),
        "attention": "true" if query.attention else "",
    }
    return {name: value for name, value in parameters.items() if value}


def remember(query: Query) -> None:
    """Keep a query in the session."""
    session[_KEY] = parameters_of(query)


def remembered() -> Query:
    """Return the last query."""
    kept = dict(session.get(_KEY, {}))
    if blinding.is_on():  # the query may be older than the setting
        kept = {name: value for name, value in kept.items() if not _tells({name: value})}
    return query_of(kept)


def _tells(parameters: Mapping[str, str]) -> bool:
    """Return True if a query depends on what the model says."""
    return bool(parameters.get("category")) or parameters.get("sort") in _TELLING


def _one_of(known: Mapping[str, object], name: str, value: str) -> str:
    if value not in known:
        abort(400, _("%(name)s must be one of %(known)s. Got %(value)r.",
                     name=name, known=", ".join(known), value=value[:40]))  # fmt: skip
    return value


def _day(name: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        abort(
            400, _("%(name)s must be a date such as 2026-01-31. Got %(value)r.", name=name, value=text[:40])
        )
