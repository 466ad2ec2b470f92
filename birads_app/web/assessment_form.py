"""Assessment form: choices, values to fill in, and parsing of a submitted form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask_babel import get_locale
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.datastructures import MultiDict

from birads_app.records import assessments, report_templates, working_drafts
from birads_app.records.assessments import Draft
from birads_app.records.errors import InvalidAssessment
from birads_app.records.findings import Finding
from birads_app.records.schema import Assessment, Exam, Image
from birads_app.records.template_table import ReportTemplate
from birads_app.terms import breast_location
from birads_app.terms.catalogue import TEXTS
from birads_app.terms.categories import Category
from birads_app.terms.hanging import hanging
from birads_app.terms.lexicon import DESCRIPTORS, FINDING_TYPES, SECTIONS, Descriptor, FindingType
from birads_app.terms.messages import Message, msg
from birads_app.terms.views import SIDES
from birads_app.web.wording import translated

# Row that can be filled in without JavaScript.
_EMPTY: dict[str, Any] = {"kind": ""}


# Fields of the form that are no entries.
_CONTROLS = ("csrf_token", "seen", "action")


@dataclass(frozen=True)
class Entries:
    """Values that fill the form: the reader's unsaved entries, which may be invalid, else those last saved.

    kept_at : time of unsaved entries; None if everything is saved
    """

    breasts: Mapping[str, str] = field(default_factory=dict)
    density: str | None = None
    findings: Sequence[Mapping[str, Any]] = ()
    text: str = ""
    sections: Mapping[str, str] = field(default_factory=dict)
    second_look: bool = False
    kept_at: datetime | None = None


@dataclass(frozen=True)
class Panel:
    """Assessments of an exam as its page shows them.

    sides : breasts to assess
    categories : choices
    images : in hanging order
    mine : last assessment of the signed-in reader, or None
    templates : report templates in the language of the page
    filled : what fills the form
    findings : rows of the form, the last one empty
    history : all assessments, newest first
    seen : number of the newest assessment, or 0
    suggested : True if the comparison is the text suggested for the prior exam
    """

    sides: Sequence[str]
    categories: Mapping[str, Category]
    images: Sequence[Image]
    mine: Assessment | None
    templates: Sequence[ReportTemplate]
    filled: Entries
    findings: Sequence[Mapping[str, Any]]
    history: Sequence[Assessment]
    seen: int
    suggested: bool

    @property
    def chosen(self) -> Mapping[str, str]:
        """Category of each breast in the form."""
        return self.filled.breasts


def panel(exam: Exam, comparison: str = "") -> Panel:
    """Return the panel of an exam for the signed-in reader.

    Parameters
    ----------
    comparison : fills the report's comparison of a reader who has entered nothing yet
    """
    history = assessments.history(exam)
    mine = assessments.newest(exam, current_user)
    filled = _filled(exam, mine) or Entries(sections={"comparison": comparison})
    return Panel(
        sides=assessments.offered(exam),
        categories=assessments.choices(exam),
        images=hanging(exam.images),
        mine=mine,
        templates=report_templates.listing(str(get_locale() or "en")[:2]),
        filled=filled,
        findings=[*filled.findings, _EMPTY],
        history=history,
        seen=history[0].id if history else 0,
        suggested=bool(comparison) and filled.sections.get("comparison") == comparison,
    )


def _filled(exam: Exam, mine: Assessment | None) -> Entries | None:
    """Return what the reader has entered: kept, else saved; None if nothing."""
    unsaved = working_drafts.of(exam, current_user)
    if unsaved is None:
        return _saved(mine) if mine else None
    form = MultiDict([(name, value) for name, value in unsaved.entries])
    rows = _rows(form)
    return Entries(
        breasts=_breasts(form),
        density=form.get("density"),
        findings=[_typed(row) for row in rows if any(row.values())],
        text=form.get("text", ""),
        sections=_sections(form),
        second_look="second_look" in form,
        kept_at=unsaved.at,
    )


def _saved(mine: Assessment) -> Entries:
    return Entries(
        breasts=assessments.breasts_of(mine),
        density=mine.density,
        findings=mine.findings,
        text=mine.text,
        sections=mine.sections,
        second_look=mine.second_look,
    )


def _typed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the form as a stored finding, with the values as typed."""
    descriptors = {name: row[name] for name in DESCRIPTORS if row[name]}
    return {**row, "descriptors": descriptors, "size_mm": row["size"], "nipple_mm": row["nipple"]}


def term_choices(terms: Mapping[str, str | FindingType] | Sequence[int]) -> list[tuple[str, str]]:
    """Return (code, text) of terms in the reader's language; numbers are hours of the clock face."""
    if not isinstance(terms, Mapping):
        return [(str(hour), _("%(hour)s o’clock", hour=hour)) for hour in terms]
    return [
        (code, translated(term.label if isinstance(term, FindingType) else term))
        for code, term in terms.items()
    ]


def term_groups(descriptor: Descriptor) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the groups of a descriptor's terms: (label, :func:`term_choices`)."""
    return [(group, term_choices(terms)) for group, terms in descriptor.groups.items()]


def kinds_with(descriptor: Descriptor) -> str:
    """Return the kinds of finding that have a descriptor, separated by spaces."""
    return " ".join(kind.code for kind in FINDING_TYPES.values() if descriptor in kind.descriptors)


def location_rule() -> dict[str, Any]:
    """Return hours and texts with placeholders, for the page to name a contradictory location as it is chosen."""
    return {
        "hours": breast_location.HOURS,
        "quadrant": translated(TEXTS["location-contradictory"]),
        "side": translated(TEXTS["side-contradictory"]),
    }


def entries(form: "MultiDict[str, str]") -> list[tuple[str, str]]:
    """Return the entries of a submitted form as typed."""
    return [(name, value) for name, value in form.items(multi=True) if name not in _CONTROLS]


def read(form: "MultiDict[str, str]") -> Draft:
    """Parse a submitted assessment; raises InvalidAssessment."""
    rows = _rows(form)
    return Draft(
        breasts=_breasts(form),
        density=form.get("density") or None,
        findings=[_finding(row, number) for number, row in enumerate(rows, start=1) if any(row.values())],
        text=form.get("text", "").replace("\r\n", "\n"),
        signed=form.get("action") == "sign",
        sections=_sections(form),
        second_look="second_look" in form,
    )


def _breasts(form: "MultiDict[str, str]") -> dict[str, str]:
    return {side: form[f"category-{side}"] for side in SIDES if form.get(f"category-{side}")}


def _sections(form: "MultiDict[str, str]") -> dict[str, str]:
    return {name: form.get(f"section-{name}", "").replace("\r\n", "\n") for name in SECTIONS}


def _rows(form: "MultiDict[str, str]") -> list[dict[str, Any]]:
    """Return the rows of the form that were not removed."""
    return [_row(form, number) for number in form.getlist("row") if f"finding-{number}-removed" not in form]


def _row(form: "MultiDict[str, str]", number: str) -> dict[str, Any]:
    """Return the values of a row of the form; empty texts where nothing was entered."""
    names = ("kind", *DESCRIPTORS, "side", "region", "clock", "depth", "size", "nipple", "image", "x", "y")
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
        clock=_whole(row["clock"], msg("clock-not-whole", text=repr(row["clock"][:20]))),
        depth=row["depth"] or None,
        size_mm=_whole(row["size"], msg("size-not-whole", text=repr(row["size"][:20]))),
        nipple_mm=_whole(row["nipple"], msg("distance-not-whole", text=repr(row["nipple"][:20]))),
        image=row["image"] or None,
        x=_fraction(row["x"]),
        y=_fraction(row["y"]),
    )


def _descriptors(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the descriptors of this kind of finding; the form still has those of a kind chosen before."""
    kind = FINDING_TYPES.get(row["kind"])
    return {each.code: row[each.code] for each in kind.descriptors if row[each.code]} if kind else {}


def _whole(text: str, problem: Message) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        raise InvalidAssessment(problem) from None


def _fraction(text: str) -> float | None:
    try:
        return round(float(text), 4) if text else None
    except ValueError:
        raise InvalidAssessment(msg("mark-number-needed", text=repr(text[:20]))) from None
