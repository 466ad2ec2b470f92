"""Marks of the model: places of an image at which a finding probably lies."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_PROPERTIES: dict[str, dict[str, Any]] = {
    "x": {**_SHARE, "description": "Centre, as a share of the image's width from the left"},
    "y": {**_SHARE, "description": "Centre, as a share of the image's height from the top"},
    "width": {**_SHARE, "description": "As a share of the image's width"},
    "height": {**_SHARE, "description": "As a share of the image's height"},
    "score": {**_SHARE, "description": "Probability that a finding lies there"},
}
# JSON Schema of Mark.to_json
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": list(_PROPERTIES),
    "properties": _PROPERTIES,
}


@dataclass(frozen=True)
class Mark:
    """A place at which the model suspects a finding, in the image as it is stored.

    x, y : centre, as shares of the image's width and height from the upper left corner, 0..1
    width, height : size, as shares of the image's width and height, 0..1
    score : probability that a finding lies there, 0..1
    """

    x: float
    y: float
    width: float
    height: float
    score: float

    def to_json(self) -> dict[str, float]:
        """Convert to JSON types that comply with :data:`SCHEMA`."""
        return asdict(self)

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> "Mark":
        """Invert :meth:`to_json`; further members, of another version, are ignored."""
        return cls(**{name: members[name] for name in _PROPERTIES})
