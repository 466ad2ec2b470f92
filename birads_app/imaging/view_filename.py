"""Side and view from a file name, as public data sets and exports write it."""

import re

from birads_app.imaging.dicom.view_words import TextSource, ViewWords, read_words
from birads_app.terms.views import OTHER_IMAGES

_SIDES = {"L": "L", "LEFT": "L", "LT": "L", "R": "R", "RIGHT": "R", "RT": "R"}
_VIEWS = ("CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM")
_MODIFIERS = {
    "SPOT": "spot compression",
    **dict.fromkeys(("MAG", "MAGN", "MAGNIF", "MAGNIFICATION", "MAGNIFIED"), "magnification"),
}
_QUALIFIED = re.compile(r"(?:LEFT|RIGHT|L|R)\w*(?:CC|MLO)\w*")
_JOINED = re.compile(rf"(LEFT|RIGHT|L|R)({'|'.join(_VIEWS)})")


def from_name(filename: str) -> tuple[str | None, str | None]:
    """Side and view by the tokens of a name: ``P102_R_DM_CC.jpg``, ``2013_BC000541_ CC_L.jpg``, ``RMLO.png``.

    Returns
    -------
    ("L" or "R", "CC", "MLO", ...); None for each that the name does not say, or says in two ways. A lone letter
    counts as a side only beside a view.
    """
    tokens = _tokens(filename)
    joined = [found.groups() for word in tokens if word not in _VIEWS and (found := _JOINED.fullmatch(word))]
    abbreviated = [_abbreviation(word) for word in tokens]
    views = {word for word in tokens if word in _VIEWS} | {view for _, view in joined}
    views = views.union(*(terms.views for terms in abbreviated))
    sides = {_SIDES[word] for word in tokens if word in _SIDES and (views or len(word) > 2)}
    sides |= {side[0] for side, _ in joined}
    return _only(sides.union(*(terms.sides for terms in abbreviated))), _only(views)


def qualified_by_name(filename: str) -> tuple[tuple[str, ...], str | None]:
    """Return the modifiers that a name states beside a view, and the kind of image if it is no view for reading.

    SPOT and MAG count anywhere; other words after the view only, because a patient's name may come before it. Names as
    in :mod:`birads_app.terms.views`.
    """
    if not from_name(filename)[1]:
        return (), None
    tokens = _tokens(filename)
    last = max(number for number, word in enumerate(tokens) if _names_view(word))
    behind = read_words(" ".join(tokens[last + 1 :]), TextSource.DESCRIPTION)
    named = {_MODIFIERS[word] for word in tokens if word in _MODIFIERS} | behind.modifiers
    named = named.union(*(_abbreviation(word).modifiers for word in tokens))
    return tuple(sorted(named)), next((kind for kind in OTHER_IMAGES if kind in behind.kinds), None)


def _names_view(word: str) -> bool:
    return word in _VIEWS or bool(_JOINED.fullmatch(word) or _abbreviation(word).views)


def _abbreviation(word: str) -> ViewWords:
    """Return the meaning of an abbreviated view with side and modifiers, such as RMCC; none of other words."""
    terms = read_words(word, TextSource.POSITION) if _QUALIFIED.fullmatch(word) else ViewWords()
    return terms if len(terms.views) == len(terms.sides) == 1 and not terms.unknown else ViewWords()


def without_view(filename: str) -> tuple[str, ...]:
    """Return the tokens of a name other than side and view, in upper case: patient, date, folder."""
    return tuple(
        word
        for word in _tokens(filename)
        if word not in _SIDES and word not in _VIEWS and not _JOINED.fullmatch(word)
    )


def _tokens(filename: str) -> list[str]:
    """The runs of letters, and of digits, before the last dot."""
    return [word.upper() for word in re.findall(r"[^\W\d_]+|\d+", filename.rsplit(".", 1)[0])]


def _only(found: set[str]) -> str | None:
    return found.pop() if len(found) == 1 else None
