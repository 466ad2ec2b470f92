"""Side and view from a file name, as public data sets and exports write it."""

import re

_SIDES = {"L": "L", "LEFT": "L", "LT": "L", "R": "R", "RIGHT": "R", "RT": "R"}
_VIEWS = ("CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM")
_MODIFIERS = {
    "SPOT": "spot compression",
    **dict.fromkeys(("MAG", "MAGN", "MAGNIF", "MAGNIFICATION", "MAGNIFIED"), "magnification"),
}
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
    views = {word for word in tokens if word in _VIEWS} | {view for _, view in joined}
    sides = {_SIDES[word] for word in tokens if word in _SIDES and (views or len(word) > 2)}
    sides |= {side[0] for side, _ in joined}
    return _only(sides), _only(views)


def modifiers_from_name(filename: str) -> tuple[str, ...]:
    """Return the view modifiers that a name states beside a view: spot compression, magnification or none."""
    tokens = _tokens(filename)
    named = {_MODIFIERS[word] for word in tokens if word in _MODIFIERS}
    return tuple(sorted(named)) if from_name(filename)[1] else ()


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
