"""The answer for one image and its JSON. Database, API, commands, pages and DICOM objects all convert from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from birads_app.model import marks
from birads_app.model.marks import Mark
from birads_app.terms.categories import CATEGORIES

_CODE = {"type": "string", "enum": list(CATEGORIES)}
_PROPERTIES: dict[str, dict[str, Any]] = {
    "category": {**_CODE, "description": "BI-RADS category"},
    "probabilities": {
        "type": "object",
        "description": "Calibrated probability of each category of the model; they sum to 1",
        "propertyNames": {"enum": list(CATEGORIES)},
        "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "possible": {
        "type": "array",
        "items": _CODE,
        "description": "90% prediction set: adjacent categories that contain the true one in 90% of patients "
        "similar to the calibration set; empty if the model has none",
    },
    "warnings": {"type": "array", "items": {"type": "string"}, "description": "Reasons for caution"},
    "breast_share": {
        "type": ["number", "null"],
        "minimum": 0,
        "maximum": 1,
        "description": "Share of the image's area that the breast covers, with a rim of a few millimetres; null for "
        "images stored by an earlier version",
    },
    "marks": {
        "type": "array",
        "items": marks.SCHEMA,
        "description": "Places at which the model suspects a finding, highest score first; in the image as it "
        "was sent, however it is turned on the screen. Empty if there are none, and if the model gives none",
    },
}
# JSON Schema of ImagePrediction.to_json
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": list(_PROPERTIES),
    "properties": _PROPERTIES,
}


@dataclass(frozen=True)
class ImagePrediction:
    """Prediction for one image.

    category : code of the predicted category
    probabilities : calibrated, by code in the bundle's class order; sum 1
    prediction_set : codes of contiguous categories that contain the true one at the bundle's level
        (:mod:`birads_app.model.conformal`); empty if the bundle has no threshold
    warnings : reasons for caution, as messages; plain text in what early versions stored
    breast_share : of the image's area, 0..1, with a rim of a few millimetres; None in what earlier versions stored
    marks : places at which the model suspects a finding, highest score first; empty if the model gives none, and in
        what earlier versions stored
    """

    category: str
    probabilities: dict[str, float] = field(hash=False)
    prediction_set: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    breast_share: float | None = None
    marks: tuple[Mark, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON types that comply with :data:`SCHEMA`; messages stay messages, which are English text."""
        return {
            "category": self.category,
            "probabilities": self.probabilities,
            "possible": list(self.prediction_set),
            "warnings": list(self.warnings),
            "breast_share": self.breast_share,
            "marks": [mark.to_json() for mark in self.marks],
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> "ImagePrediction":
        """Invert :meth:`to_json`. What another version stored may have further members, and lack those added since."""
        return cls(
            category=members["category"],
            probabilities=members["probabilities"],
            prediction_set=tuple(members["possible"]),
            warnings=tuple(members["warnings"]),
            breast_share=members.get("breast_share"),
            marks=tuple(Mark.from_json(mark) for mark in members.get("marks", ())),
        )
