"""Schemas of the OpenAPI description: the objects that the interface returns."""

from typing import Any

from birads_app.model import image_prediction
from birads_app.records.job_table import JobKind, JobState
from birads_app.records.related_exams import Relation
from birads_app.records.schema import Status
from birads_app.services.job_queue import REPORT, RESULTS, TRAINING
from birads_app.terms.categories import CATEGORIES
from birads_app.terms.lexicon import (
    ASSESSMENTS,
    ASSOCIATED,
    CLOCK,
    DENSITIES,
    DEPTHS,
    DESCRIPTORS,
    FARTHEST_MM,
    FINDING_TYPES,
    LARGEST_MM,
    REGIONS,
    SECTIONS,
    SIDES,
)
from birads_app.terms.views import STANDARD_VIEWS, ViewRole

# Members of an image that tell its AI result.
AI_RESULT = ("category", "probabilities", "possible", "marks")
_PREDICTION = image_prediction.SCHEMA["properties"]
_HIDDEN = {
    "ai_result_hidden": {
        "type": "boolean",
        "description": "True while the AI result is hidden from the token's account, which has yet to read the exam "
        "(`BIRADS_SHOW_OPINION=0`): category, probabilities, prediction set and marks are null",
    }
}
_REJECTED = {
    "type": "object",
    "required": ["file", "error"],
    "properties": {"file": {"type": "string"}, "error": {"type": "string"}},
}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_ATTENTION = {
    "needs_attention": {"type": "boolean", "description": "True if `attention` has a reason"},
    "attention": {
        **_TEXTS,
        "description": "Reasons why the exam needs attention, such as missing images or images left out",
    },
}


def reference(name: str) -> dict[str, str]:
    """Refer to a schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _exam() -> dict[str, Any]:
    properties = {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "created_at": {"type": "string", "format": "date-time"},
        "model": {"type": "string", "description": "Name of the model that made the prediction"},
        "demonstration": {
            "type": "boolean",
            "description": "True if the model is a demonstration or not to be relied on",
        },
        "disclaimer": {"type": "string"},
        **_HIDDEN,
        "exam": {
            "description": "Prediction for each breast and the exam; null if no image is a standard view, or while it "
            "is hidden",
            "oneOf": [reference("Whole"), {"type": "null"}],
        },
        "objects": reference("Objects"),
        **_ATTENTION,
        "notes": {**_TEXTS, "description": "Remarks that need no attention, such as skipped files"},
        "related": {
            "type": "array",
            "items": reference("RelatedExam"),
            "description": "The last other exams of the same study that the token may get, newest first",
        },
        "priors": {
            "type": "array",
            "items": reference("PriorExam"),
            "description": "Earlier exams of the patient that the token may get, latest first",
        },
        "images": {"type": "array", "items": reference("Image")},
        "assessments": {
            "type": "array",
            "items": reference("Assessment"),
            "description": "Signed assessments, newest first",
        },
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _objects() -> dict[str, Any]:
    unused = {
        "file": {"type": "string", "description": "Number in order of arrival"},
        "reason": {"type": "string"},
    }
    properties = {
        "received": {
            "type": ["integer", "null"],
            "minimum": 0,
            "description": "Images received; null for exams stored by an earlier version",
        },
        "used": {"type": "integer", "minimum": 0},
        "left_out": {
            "type": "array",
            "items": {"type": "object", "required": list(unused), "properties": unused},
        },
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _related_exam() -> dict[str, Any]:
    properties = {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "url": {"type": "string", "description": "Address of the exam"},
        "relation": {
            "enum": list(Relation),
            "description": "Its images, compared: the same, these and more, some of these, changed or others",
        },
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _prior_exam() -> dict[str, Any]:
    category = {"enum": [*CATEGORIES, None], "description": "Predicted for the breast; null without a result"}
    change = {
        "laterality": {"enum": list(SIDES)},
        "before": category,
        "now": category,
        "change": {
            "enum": ["higher", "unchanged", "lower", None],
            "description": "By urgency; null if one of the exams has no result for the breast",
        },
    }
    properties = {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "url": {"type": "string", "description": "Address of the exam"},
        "status": {"type": "string", "enum": list(Status)},
        "exam_date": {
            "type": ["string", "null"],
            "format": "date",
            "description": "True if the token's account may see identities, else as stored; null if unknown",
        },
        "exam_date_shifted": {"type": "boolean"},
        "days": {
            "type": "integer",
            "minimum": 0,
            "description": "Between the true study dates of both exams",
        },
        "assessed": {"enum": [*ASSESSMENTS, None], "description": "Category of the last signed assessment"},
        "same_model": {"type": "boolean", "description": "True if one model predicted both exams"},
        "changes": {
            "type": ["array", "null"],
            "items": _closed(change, required=list(change)),
            "description": "Of the AI result, for each breast in one of the exams; null while the result of one of "
            "them is hidden from the token's account (blinded reading)",
        },
    }
    return _closed(properties, required=list(properties))


def _several_exams() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["exams"],
        "properties": {"exams": {"type": "array", "minItems": 2, "items": reference("Exam")}},
    }


def _listed_exam() -> dict[str, Any]:
    properties = {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "url": {"type": "string", "description": "Address of the exam"},
        "created_at": {"type": "string", "format": "date-time"},
        "status": {"type": "string", "enum": list(Status)},
        "pseudonym": {"type": ["string", "null"], "description": "Of the patient; null if no file is DICOM"},
        "study_uid": {"type": ["string", "null"], "description": "Study Instance UID as stored"},
        "exam_date": {"type": ["string", "null"], "format": "date", "description": "As stored"},
        "exam_date_shifted": {
            "type": "boolean",
            "description": "True if `exam_date` was shifted to protect the patient, equally for all her exams",
        },
        "views": {"type": "string", "description": "Such as `R CC, L CC`; `?` if unknown"},
        "images": {"type": "integer", "minimum": 0, "description": "Number of images"},
        "model": {"type": ["string", "null"]},
        **_HIDDEN,
        "category": {"enum": [*CATEGORIES, None], "description": "Predicted for the exam"},
        "assessed": {"enum": [*ASSESSMENTS, None], "description": "Category of the last signed assessment"},
        "failure": {"type": "string", "description": "Reason why no image could be read; empty otherwise"},
        **_ATTENTION,
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _whole() -> dict[str, Any]:
    code = {"type": "string", "enum": list(CATEGORIES)}
    side = {"type": ["string", "null"], "enum": ["R", "L", None], "description": "null if unknown"}
    views = {"type": "array", "items": {"type": "string", "enum": list(STANDARD_VIEWS)}}
    breast = {
        "laterality": side,
        "category": code,
        "probabilities": _PREDICTION["probabilities"],
        "missing": {**views, "description": "Standard views that the exam lacks"},
    }
    properties = {
        "category": {**code, "description": "That of the more suspicious breast"},
        "rule": {"type": "string", "description": "Pooling of a breast's views"},
        "absent": {
            "type": "array",
            "items": {"enum": ["R", "L"]},
            "description": "Sides without a standard view",
        },
        "left_out": {
            "type": "integer",
            "description": "Number of images that are excluded: special and unknown views, and other images",
        },
        "breasts": {
            "type": "array",
            "items": {"type": "object", "required": list(breast), "properties": breast},
        },
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _image() -> dict[str, Any]:
    properties = {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "file": {
            "type": "string",
            "description": "Name as sent, in the response to the upload; for a file in an archive its path there. "
            "Later file-1.dcm, ..., or the name as sent if de-identification is off",
        },
        "laterality": {"type": ["string", "null"], "description": "R or L; null if unknown"},
        "view": {"type": ["string", "null"], "description": "Such as CC or MLO; null if unknown"},
        "role": {
            "type": "string",
            "enum": list(ViewRole),
            "description": "Only `standard` views (CC and MLO of the whole breast) are part of the breast's prediction",
        },
        "set_by": {
            "oneOf": [_set_by(), {"type": "null"}],
            "description": "Who set side, view and role manually; null if they are as received",
        },
        **_PREDICTION,
        **{name: _or_null(_PREDICTION[name]) for name in AI_RESULT},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Allow null, while the AI result is hidden."""
    return {"oneOf": [schema, {"type": "null"}]}


def _set_by() -> dict[str, Any]:
    text = {"type": ["string", "null"]}
    received = {"laterality": text, "view": text, "role": {"type": "string", "enum": list(ViewRole)}}
    return _closed(
        {
            "name": {"type": "string", "description": "Name of the account"},
            "at": {"type": "string", "format": "date-time"},
            "received": _closed(received, required=list(received)),
        },
        required=["name", "at", "received"],
    )


def _assessment() -> dict[str, Any]:
    category = {"enum": list(ASSESSMENTS)}
    properties = {
        "reader": {"type": "string", "description": "Name of the radiologist's account"},
        "reader_name": {"type": ["string", "null"], "description": "Full name, as in the report"},
        "reader_title": {"type": ["string", "null"], "description": "Title or position"},
        "at": {"type": "string", "format": "date-time"},
        "signed": {"type": "boolean"},
        "withdrawn": {"type": "boolean", "description": "The reader withdrew the signature at once"},
        "aided": {
            "type": ["boolean", "null"],
            "description": "The AI result was visible to the reader before; null if not known",
        },
        "category": {"enum": [*ASSESSMENTS, None], "description": "Category of the more suspicious breast"},
        "breasts": {
            "type": "object",
            "propertyNames": {"enum": list(SIDES)},
            "additionalProperties": category,
        },
        "density": {"enum": [*DENSITIES, None]},
        "findings": {"type": "array", "items": _finding()},
        "text": {"type": "string"},
        "sections": _closed({name: {"type": "string"} for name in SECTIONS}, required=[]),
        "second_look": {"type": "boolean", "description": "A second reading is requested"},
    }
    return _closed(properties, required=list(properties))


def _finding() -> dict[str, Any]:
    fraction = {"type": "number", "minimum": 0, "maximum": 1}
    descriptors = {code: {"enum": list(descriptor.terms)} for code, descriptor in DESCRIPTORS.items()}
    properties = {
        "kind": {"enum": list(FINDING_TYPES)},
        "descriptors": _closed(descriptors, required=[]),
        "associated": {"type": "array", "items": {"enum": list(ASSOCIATED)}},
        "side": {"enum": list(SIDES)},
        "region": {"enum": list(REGIONS)},
        "clock": {"type": "integer", "minimum": min(CLOCK), "maximum": max(CLOCK)},
        "depth": {"enum": list(DEPTHS)},
        "size_mm": {"type": "integer", "minimum": 1, "maximum": LARGEST_MM},
        "nipple_mm": {
            "type": "integer",
            "minimum": 0,
            "maximum": FARTHEST_MM,
            "description": "Distance from the nipple",
        },
        "image": {"type": "string", "description": "`id` of the image with the mark"},
        "x": {**fraction, "description": "From the image's left edge"},
        "y": {**fraction, "description": "From the image's upper edge"},
    }
    return _closed(properties, required=["kind"])


def _closed(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


def _job() -> dict[str, Any]:
    time = {"type": "string", "format": "date-time"}
    maybe = {"type": ["string", "null"], "format": "date-time"}
    identifiers = {"type": "array", "items": {"type": "string", "pattern": "^[0-9a-f]{32}$"}}
    properties = {
        "id": {"type": "string", "description": "Unique within its kind"},
        "kind": {"enum": [*JobKind, RESULTS, REPORT, TRAINING]},
        "url": {"type": ["string", "null"], "description": "Address of an upload; null for other kinds"},
        "account": {"type": "string", "description": "Name of the account; empty for housekeeping"},
        "state": {"enum": list(JobState), "description": "`failed`: it is not tried again by itself"},
        "created_at": time,
        "ended_at": maybe,
        "attempts": {"type": "integer", "minimum": 0, "description": "Attempts that have begun"},
        "next_attempt_at": maybe,
        "reason": {"type": "string", "description": "Why the last attempt failed; empty otherwise"},
        "exam_ids": {**identifiers, "description": "Exams concerned; of an upload, once it is done"},
    }
    later = {
        "exams": {
            "type": "array",
            "items": reference("Exam"),
            "description": "Exams of an upload that is done",
        },
        "problem": {**_problem(), "description": "Response that an upload that has failed would have had"},
    }
    return _closed({**properties, **later}, required=list(properties))


def _problem() -> dict[str, Any]:
    properties = {
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "error": {"type": "string"},
        "problems": {"type": "array", "items": _REJECTED},
    }
    return _closed(properties, required=list(properties))


def _error() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {"type": "string", "description": "Message: what was received and what to do"},
            "request_id": {"type": "string", "description": "As in the header `X-Request-ID` and in the log"},
            "problems": {
                "type": "array",
                "description": "One entry for each rejected file; `file` is empty if it concerns all files",
                "items": _REJECTED,
            },
        },
    }


SCHEMAS = {
    "Exam": _exam(),
    "SeveralExams": _several_exams(),
    "ListedExam": _listed_exam(),
    "Objects": _objects(),
    "RelatedExam": _related_exam(),
    "PriorExam": _prior_exam(),
    "Whole": _whole(),
    "Image": _image(),
    "Assessment": _assessment(),
    "Job": _job(),
    "Error": _error(),
}
