"""Findings of an assessment: lexicon terms, location in the breast, and a mark on an image."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from birads_app.records.errors import InvalidAssessment
from birads_app.terms import lexicon
from birads_app.terms.messages import msg
from birads_app.terms.translation import N_


@dataclass(frozen=True)
class Finding:
    """One finding, in codes of :mod:`birads_app.terms.lexicon`; None is not stated.

    descriptors : code of the term, by code of the descriptor
    associated : codes of associated features
    side : R or L
    clock : 1 to 12
    size_mm : largest diameter, 1 to 300
    image : id of the marked image
    x, y : position of the mark as fractions of the image's width and height, 0..1, from the upper left corner
    nipple_mm : distance from the nipple, 0 to 250

    Raises InvalidAssessment if a value is not allowed.
    """

    kind: str
    descriptors: Mapping[str, str] = field(default_factory=dict)
    associated: Sequence[str] = ()
    side: str | None = None
    region: str | None = None
    clock: int | None = None
    depth: str | None = None
    size_mm: int | None = None
    image: str | None = None
    x: float | None = None
    y: float | None = None
    nipple_mm: int | None = None

    def __post_init__(self) -> None:
        _check("kind", self.kind, lexicon.FINDING_TYPES)
        allowed = {descriptor.code: descriptor for descriptor in lexicon.FINDING_TYPES[self.kind].descriptors}
        for name, term in self.descriptors.items():
            _check("descriptors", name, allowed)
            _check(name, term, allowed[name].terms)
        for feature in self.associated:
            _check("associated", feature, lexicon.ASSOCIATED)
        _check("side", self.side, lexicon.SIDES, None)
        _check("region", self.region, lexicon.REGIONS, None)
        _check("clock", self.clock, lexicon.CLOCK, None)
        _check("depth", self.depth, lexicon.DEPTHS, None)
        _check("size_mm", self.size_mm, range(1, lexicon.LARGEST_MM + 1), None)
        _check("nipple_mm", self.nipple_mm, range(lexicon.FARTHEST_MM + 1), None)
        self._check_mark()

    def _check_mark(self) -> None:
        """Raise InvalidAssessment unless a mark has both coordinates, within an image."""
        marked = [value for value in (self.x, self.y) if value is not None]
        if marked and (len(marked) == 1 or self.image is None):
            raise InvalidAssessment(msg("mark-incomplete"))
        if not all(0 <= value <= 1 for value in marked):
            raise InvalidAssessment(msg("mark-outside-image", x=str(self.x), y=str(self.y)))

    def as_json(self) -> dict[str, Any]:
        """Convert to JSON types for the database, without unstated values."""
        return {name: value for name, value in asdict(self).items() if value not in (None, {}, (), [])}


def from_json(members: Mapping[str, Any]) -> Finding:
    """Invert :meth:`Finding.as_json`."""
    return Finding(**members)


def labelled_terms(finding: Finding, put: Callable[..., str] = str) -> Iterator[tuple[str, str]]:
    """Yield (label, term) of each property of a finding except its kind, both passed through ``put``."""
    for name, term in finding.descriptors.items():
        descriptor = lexicon.DESCRIPTORS[name]
        yield put(descriptor.label), put(descriptor.terms[term])
    if finding.side:
        yield put(N_("Side")), put(lexicon.SIDES[finding.side])
    if finding.region:
        yield put(N_("Quadrant")), put(lexicon.REGIONS[finding.region])
    if finding.clock:
        yield put(N_("Position")), put(msg("clock-hour", hour=finding.clock))
    if finding.depth:
        yield put(N_("Depth")), put(lexicon.DEPTHS[finding.depth])
    if finding.nipple_mm is not None:
        yield put(N_("Distance from the nipple")), f"{finding.nipple_mm} mm"
    if finding.size_mm:
        yield put(N_("Size")), f"{finding.size_mm} mm"
    for feature in finding.associated:
        yield put(N_("Associated feature")), put(lexicon.ASSOCIATED[feature])


def in_english(findings: Sequence[Finding]) -> str:
    """Format all findings as lines of English text for DICOM objects."""
    lines = []
    for number, finding in enumerate(findings, start=1):
        terms = "; ".join(f"{label}: {term}" for label, term in labelled_terms(finding))
        title = lexicon.FINDING_TYPES[finding.kind].label
        lines.append(f"{number}. {title}. {terms}." if terms else f"{number}. {title}.")
    return "\n".join(lines)


def _check(field: str, got: object, *allowed: Collection[object] | None) -> None:
    """Raise InvalidAssessment unless the value is among the allowed ones; None among them allows None."""
    known = [value for group in allowed for value in ([None] if group is None else group)]
    if got not in known:
        raise InvalidAssessment(msg("finding-value-unknown", field=field, value=repr(got)))
