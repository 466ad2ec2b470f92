"""Endpoint that lists exams, page by page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, abort, g, jsonify, request, url_for

from birads_app.api.authentication import bp
from birads_app.deid.pseudonyms import site_pseudonyms
from birads_app.records import blinding, worklist
from birads_app.records.schema import Exam, Status
from birads_app.records.worklist import Position, Query, WorklistPage

LIMIT_MAX = 100
ORDERS = ("newest", "oldest")
PARAMETERS = ("status", "since", "patient", "study", "attention", "order", "limit", "after", "before")
# As in the description of the interface; other spellings of a pseudonym are tolerated.
PSEUDONYM = re.compile(r"^P-[0-9A-Z-]{0,14}$")
UID = re.compile(r"^[0-9.]{1,64}$")
POSITION = re.compile(r"^([0-9]{1,17})-([0-9a-f]{32})$")


@dataclass(frozen=True)
class _Wanted:
    """Parsed query parameters; at most one of ``after`` and ``before`` is set."""

    query: Query
    limit: int
    after: Position | None
    before: Position | None


@bp.get("/exams")
def listing() -> Response:
    """List exams; the header ``Link`` has the addresses of the next and the previous page."""
    wanted = _parse(request.args)
    listed = worklist.page(wanted.query, after=wanted.after, before=wanted.before, per_page=wanted.limit)
    hidden = blinding.hidden_among(listed.items, g.api_user)
    response = jsonify(exams=[_to_json(exam, exam.id in hidden) for exam in listed.items])
    if links := _links(listed):
        response.headers["Link"] = links
    return response


def _parse(given: Mapping[str, str]) -> _Wanted:
    """Check the query parameters; answers 400 for an unknown or invalid one."""
    for name in given:
        if name not in PARAMETERS:
            abort(400, f"Unknown parameter {name[:40]!r}. Use: {', '.join(PARAMETERS)}.")
    after, before = _position("after", given), _position("before", given)
    if after and before:
        abort(400, "Send either `after` or `before`, not both.")
    query = Query(
        list="all",
        sort=_one_of(ORDERS, "order", given.get("order") or ORDERS[0]),
        pseudonyms=_pseudonyms(given.get("patient", "")),
        since=_moment(given.get("since", "")),
        status=Status(_one_of(tuple(Status), "status", given["status"])) if given.get("status") else None,
        study_uids=_study_uids(given.get("study", "")),
        attention=_one_of(("true", "false"), "attention", given.get("attention") or "false") == "true",
    )
    return _Wanted(query, _limit(given.get("limit", "")), after, before)


def _one_of(known: tuple[str, ...], name: str, value: str) -> str:
    if value not in known:
        abort(400, f"`{name}` must be one of {', '.join(known)}. Got {value[:40]!r}.")
    return value


def _pseudonyms(text: str) -> tuple[str, ...]:
    wanted = text.strip().upper()
    if wanted and not PSEUDONYM.fullmatch(wanted):  # the value is not repeated: it may be a patient's ID
        abort(400, "`patient` must be a pseudonym such as P-7F3K-9Q2X, or its beginning.")
    return (wanted,) if wanted else ()


def _study_uids(text: str) -> tuple[str, ...]:
    """Return the UIDs under which a study may be stored: as sent, and its pseudonym."""
    uid = text.strip()
    if uid and not UID.fullmatch(uid):
        abort(400, "`study` must be a Study Instance UID: digits and dots, at most 64.")
    return (uid, site_pseudonyms().uid(uid)) if uid else ()


def _moment(text: str) -> datetime | None:
    """Parse a date or a time; without a time zone it is in UTC."""
    # The plus sign of a time zone arrives as a space if the client does not encode it.
    text = text.strip().replace(" ", "+") if "T" in text else text.strip()
    try:
        moment = datetime.fromisoformat(text) if text else None
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC) if moment else None
    except (ValueError, OverflowError):
        abort(400, f"`since` must be a date or a time such as 2026-01-31T08:00:00Z. Got {text[:40]!r}.")


def _limit(text: str) -> int:
    if not text:
        return worklist.PER_PAGE
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= LIMIT_MAX):
        abort(400, f"`limit` must be a number from 1 to {LIMIT_MAX}. Got {text[:40]!r}.")
    return int(text)


def _position(name: str, given: Mapping[str, str]) -> Position | None:
    """Parse a place in the list as :func:`_place` writes it."""
    text = given.get(name, "")
    if not text:
        return None
    match = POSITION.fullmatch(text)
    moment = _from_microseconds(match[1]) if match else None
    if match is None or moment is None:
        abort(400, f"`{name}` is not valid. Take it from the header `Link` of another page.")
    return Position(moment, match[2])


def _from_microseconds(digits: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(digits))
    except OverflowError:
        return None


def _place(exam: Exam) -> str:
    """Return the exam's place in the list: time of arrival in microseconds, and id."""
    return f"{(exam.created_at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)}-{exam.id}"


def _links(found: WorklistPage) -> str:
    """Return the value of the header ``Link`` (RFC 8288), empty if there is one page only."""
    kept: dict[str, Any] = {
        name: value for name, value in request.args.items() if value and name not in ("after", "before")
    }
    links: list[tuple[str, dict[str, Any]]] = []
    if found.after:
        links.append(("next", {"after": _place(found.items[-1])}))
    if found.before:
        links += [("prev", {"before": _place(found.items[0])}), ("first", {})]
    return ", ".join(f'<{url_for("api.listing", **kept, **place)}>; rel="{rel}"' for rel, place in links)


def _to_json(exam: Exam, hidden: bool) -> dict[str, Any]:
    return {
        "id": exam.id,
        "url": url_for("api.show", exam_id=exam.id),
        "created_at": exam.created_at.isoformat(timespec="seconds"),
        "status": exam.status,
        "pseudonym": exam.pseudonym,
        "study_uid": exam.study_uid,
        "exam_date": exam.exam_date and exam.exam_date.isoformat(),
        "exam_date_shifted": exam.date_shifted,
        "views": exam.views,
        "images": len(exam.images),
        "model": exam.model or None,
        "ai_result_hidden": hidden,
        "category": None if hidden else exam.category,
        "assessed": exam.assessed,
        "failure": str(exam.failure),
        "needs_attention": bool(exam.attention),
        "attention": exam.attention,
    }
