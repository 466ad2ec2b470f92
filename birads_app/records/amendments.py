"""Changes that an assessment makes to the signed one that it replaces."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from birads_app.records import assessments, findings
from birads_app.records.schema import Assessment
from birads_app.terms import lexicon
from birads_app.terms.translation import N_

_LONGEST = 160  # letters of a text that are repeated where it is said to have changed
_LABELS = {
    "density": N_("Breast density"),
    "findings": N_("Findings"),
    "text": N_("Comments"),
    "second_look": N_("Second reading requested"),
}
# Members of an assessment's JSON that are not part of what it says.
_CIRCUMSTANCES = ("reader", "reader_name", "reader_title", "at", "signed", "withdrawn", "aided", "category")


@dataclass(frozen=True)
class Change:
    """A changed part of an assessment.

    part : ``breasts.R``, ``density``, ``findings``, ``text``, ``sections.indication``, ..., as in the assessment's JSON
    before, after : None if it was or is absent
    """

    part: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Amendment:
    """Replacement of a signed assessment by its reader, or by another one after the exam was read.

    replaced : the signed assessment before
    changes : empty if the assessment was signed again as it was
    """

    replaced: Assessment
    changes: Sequence[Change]


def of(assessment: Assessment, history: Sequence[Assessment]) -> Amendment | None:
    """Return what a signed assessment amends; None for drafts, first signatures and requested second readings.

    Parameters
    ----------
    history : all assessments of the exam, newest first
    """
    earlier = (one for one in history if one.id < assessment.id and one.signed)
    replaced = next(earlier, None)
    if not assessment.signature or replaced is None:
        return None
    if replaced.second_look and replaced.reader_id != assessment.reader_id:
        return None
    return Amendment(replaced, _changes(_parts(replaced), _parts(assessment)))


def as_json(amendment: Amendment) -> dict[str, Any]:
    """Convert an amendment to JSON types."""
    return {
        "replaced_at": amendment.replaced.at.isoformat(timespec="seconds"),
        "replaced_reader": amendment.replaced.reader.name,
        "changes": [
            {"part": change.part, "before": change.before, "after": change.after}
            for change in amendment.changes
        ],
    }


def labelled(amendment: Amendment, put: Callable[..., str] = str) -> Iterator[tuple[str, str]]:
    """Yield (label, text) of each change: what was and what is, in brief; ``put`` translates."""
    for change in amendment.changes:
        group, _, name = change.part.partition(".")
        label = {"breasts": lexicon.SIDES, "sections": lexicon.SECTIONS}.get(group, _LABELS)[name or group]
        before, after = (_brief(group, value, put) for value in (change.before, change.after))
        yield put(label), f"{before} → {after}"


def _brief(group: str, value: Any, put: Callable[..., str]) -> str:
    """Return a value of a change as text."""
    if value in (None, ""):
        return put(N_("no")) if group == "second_look" else put(N_("none"))
    if group == "second_look":
        return put(N_("yes"))
    if group == "breasts":
        return f"BI-RADS {value}"
    if group == "findings":
        value = "; ".join(_finding(one, put) for one in value)
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _finding(stored: dict[str, Any], put: Callable[..., str]) -> str:
    one = findings.from_json(stored)
    terms = (term for _, term in findings.labelled_terms(one, put))
    return ", ".join((put(lexicon.FINDING_TYPES[one.kind].label), *terms))


def _parts(assessment: Assessment) -> dict[str, Any]:
    """Return the parts of an assessment by their names; absent ones are left out."""
    found: dict[str, Any] = {}
    for name, value in assessments.as_json(assessment).items():
        if name in _CIRCUMSTANCES:
            continue
        members = (
            {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
        )
        found.update({key: one for key, one in members.items() if one not in (None, "", [], False)})
    return found


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    names = dict.fromkeys((*after, *before))
    return [
        Change(name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]
