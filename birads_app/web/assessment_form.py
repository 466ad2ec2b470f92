"""The form of an assessment: what it offers, what it is filled with, and what a sent one says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.datastructures import MultiDict

from birads_app.records import assessments
from birads_app.records.assessments import Draft
from birads_app.records.errors import InvalidAssessment
from birads_app.records.findings import Finding
from birads_app.records.schema import Assessment, Exam, Image
from birads_app.terms.categories import Category
from birads_app.terms.hanging import hanging
from birads_app.terms.lexicon import DESCRIPTORS, KINDS, Descriptor, Kind
from birads_app.terms.messages import Message, msg
from birads_app.terms.views import SIDES
from birads_app.web.wording import translated

# A row of the form without scripts is filled in or left empty; with them rows are added and removed.
_EMPTY: dict[str, Any] = {"kind": ""}


@dataclass(frozen=True)
class Panel:
    """What the exam's page shows of its assessments.

    sides : breasts to assess
    categories : those that may be chosen
    images : in hanging order
    mine : the signed-in reader's own last assessment, which fills the form; None where there is none
    findings : of the form's rows, the last one empty
    history : all assessments, newest first
    seen : number of the newest assessment, 0 where there is none
    """

    sides: Sequence[str]
    categories: Mapping[str, Category]
    images: Sequence[Image]
    mine: Assessment | None
    findings: Sequence[Mapping[str, Any]]
    history: Sequence[Assessment]
    seen: int

    @property
    def chosen(self) -> Mapping[str, str]:
        """The category of each breast that the form is filled with."""
        return assessments.breasts_of(self.mine) if self.mine else {}


def panel(exam: Exam) -> Panel:
    """What to show of an exam to the person who is signed in."""
    history = assessments.history(exam)
    mine = assessments.newest(exam, current_user)
    return Panel(
        sides=assessments.offered(exam),
        categories=assessments.choices(exam),
        images=hanging(exam.images),
        mine=mine,
        findings=[*(mine.findings if mine else ()), _EMPTY],
        history=history,
        seen=history[0].id if history else 0,
    )


def said_items(terms: Mapping[str, str | Kind] | Sequence[int]) -> list[tuple[str, str]]:
    """Return (code, text) of terms in the reader's language; numbers are hours of the clock face."""
    if not isinstance(terms, Mapping):
        return [(str(hour), _("%(hour)s o’clock", hour=hour)) for hour in terms]
    return [
        (code, translated(term.label if isinstance(term, Kind) else term)) for code, term in terms.items()
    ]


def said_groups(descriptor: Descriptor) -> list[tuple[str, list[tuple[str, str]]]]:
    """A descriptor's groups of terms: (label, terms as :func:`said_items` gives them)."""
    return [(group, said_items(terms)) for group, terms in descriptor.groups.items()]


def kinds_with(descriptor: Descriptor) -> str:
    """Codes of the kinds of finding that it is said about, with spaces between."""
    return " ".join(kind.code for kind in KINDS.values() if descriptor in kind.descriptors)


def read(form: "MultiDict[str, str]") -> Draft:
    """The assessment that was sent; raises InvalidAssessment."""
    rows = [_row(form, number) for number in form.getlist("row") if f"finding-{number}-removed" not in form]
    return Draft(
        breasts={side: form[f"category-{side}"] for side in SIDES if form.get(f"category-{side}")},
        density=form.get("density") or None,
        findings=[_finding(row, number) for number, row in enumerate(rows, start=1) if any(row.values())],
        text=form.get("text", "").replace("\r\n", "\n"),
        signed=form.get("action") == "sign",
        second_look="second_look" in form,
    )


def _row(form: "MultiDict[str, str]", number: str) -> dict[str, Any]:
    """What a row of the form says; empty texts where it says nothing."""
    names = ("kind", *DESCRIPTORS, "side", "region", "clock", "depth", "size", "image", "x", "y")
    row: dict[str, Any] = {name: form.get(f"finding-{number}-{name}", "").strip() for name in names}
    return row | {"associated": form.getlist(f"finding-{number}-associated")}


def _finding(row: Mapping[str, Any], number: int) -> Finding:
    if not row["kind"]:
        raise InvalidAssessment(msg("finding-kind-missing", number=number))
    return Finding(
        kind=row["kind"],
        descriptors=_descriptors(row),
        associated=row["associated"],
        side=row["side"] or None,
        region=row["region"] or None,
        clock=_whole(row["clock"], msg("clock-position")),
        depth=row["depth"] or None,
        size_mm=_whole(row["size"], msg("size-in-millimetres")),
        image=row["image"] or None,
        x=_fraction(row["x"]),
        y=_fraction(row["y"]),
    )


def _descriptors(row: Mapping[str, Any]) -> dict[str, str]:
    """What was said of what the kind of finding has; the form still carries what was said before the kind changed."""
    kind = KINDS.get(row["kind"])
    return {each.code: row[each.code] for each in kind.descriptors if row[each.code]} if kind else {}


def _whole(text: str, what: Message) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        raise InvalidAssessment(msg("whole-number-needed", what=what, text=repr(text[:20]))) from None


def _fraction(text: str) -> float | None:
    try:
        return round(float(text), 4) if text else None
    except ValueError:
        raise InvalidAssessment(msg("mark-number-needed", text=repr(text[:20]))) from None
