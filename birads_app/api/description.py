"""The OpenAPI 3.1 description of the interface."""

from typing import Any

from birads_app.model.aggregation import STANDARD_VIEWS
from birads_app.terms.categories import CATEGORIES
from birads_app.terms.lexicon import (
    ASSESSMENTS,
    ASSOCIATED,
    CLOCK,
    DENSITIES,
    DEPTHS,
    DESCRIPTORS,
    FINDING_TYPES,
    LARGEST_MM,
    REGIONS,
    SIDES,
)
from birads_app.version import __version__

_PROBABILITIES = {
    "type": "object",
    "description": "Calibrated probability of each category of the model; they sum to 1",
    "propertyNames": {"enum": list(CATEGORIES)},
    "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
}

_ERRORS = {
    "400": "No file, or an empty one",
    "401": "Missing or unknown token",
    "403": "The token's account has read-only access",
    "404": "Exam not found",
    "413": "Too many bytes, too many files, or an image with too many pixels",
    "415": "The body is not multipart/form-data, or a file's format is not supported",
    "422": "A file is damaged, not a mammogram, or of another patient; or files are rejected for different reasons",
    "503": "No active model, or the database is not ready",
    "507": "The server's disk is full",
}


def describe(script_root: str) -> dict[str, Any]:
    """Describe the interface.

    Parameters
    ----------
    script_root : path below which the application is mounted, empty at the root of a host
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "BI-RADS reader",
            "version": __version__,
            "summary": "Reads mammograms and predicts BI-RADS categories. Research use only.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": f"{script_root}/api/v1"}],
        "security": [{"token": []}],
        "paths": {
            "/predictions": {"post": _create()},
            "/predictions/{exam_id}": {"get": _show()},
            "/openapi.json": {"get": _openapi()},
        },
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`flask token create NAME`"}
            },
            "schemas": {
                "Exam": _exam(),
                "Whole": _whole(),
                "Image": _image(),
                "Assessment": _assessment(),
                "Error": _error(),
            },
        },
    }


def _create() -> dict[str, Any]:
    body = {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                "description": "DICOM, PNG, JPEG, TIFF, BMP or PGM; one part per image",
            }
        },
    }
    return {
        "operationId": "createPrediction",
        "summary": "Predict and store the images of one exam",
        "description": "Either all files are stored or none; the response lists each rejected file.",
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": body}}},
        "responses": {
            "201": {
                "description": "The stored exam with the AI result",
                "headers": {"Location": {"description": "Address of the exam", "schema": {"type": "string"}}},
                "content": _json("Exam"),
            },
            **_errors("400", "401", "403", "413", "415", "422", "503", "507"),
        },
    }


def _show() -> dict[str, Any]:
    return {
        "operationId": "getPrediction",
        "summary": "Get a stored exam",
        "parameters": [{"name": "exam_id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {
            "200": {"description": "The exam", "content": _json("Exam")},
            **_errors("401", "404", "503"),
        },
    }


def _openapi() -> dict[str, Any]:
    return {
        "operationId": "getDescription",
        "summary": "This description",
        "security": [],
        "responses": {
            "200": {
                "description": "OpenAPI 3.1",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    }


def _exam() -> dict[str, Any]:
    properties = {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "created_at": {"type": "string", "format": "date-time"},
        "model": {"type": "string", "description": "Name of the model that made the prediction"},
        "demonstration": {"type": "boolean", "description": "True if the model is only a demonstration"},
        "disclaimer": {"type": "string"},
        "exam": {
            "description": "Prediction for each breast and the exam; null if no image is a standard view",
            "oneOf": [_reference("Whole"), {"type": "null"}],
        },
        "images": {"type": "array", "items": _reference("Image")},
        "assessments": {
            "type": "array",
            "items": _reference("Assessment"),
            "description": "Signed assessments, newest first",
        },
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _whole() -> dict[str, Any]:
    code = {"type": "string", "enum": list(CATEGORIES)}
    side = {"type": ["string", "null"], "enum": ["R", "L", None], "description": "null if unknown"}
    views = {"type": "array", "items": {"type": "string", "enum": list(STANDARD_VIEWS)}}
    breast = {
        "laterality": side,
        "category": code,
        "probabilities": _PROBABILITIES,
        "missing": {**views, "description": "Standard views that the exam lacks"},
    }
    properties = {
        "category": {**code, "description": "That of the more suspicious breast"},
        "rule": {"type": "string", "description": "Pooling of a breast's views"},
        "absent": {"type": "array", "items": {"enum": ["R", "L"]}, "description": "Sides without an image"},
        "left_out": {"type": "integer", "description": "Number of special views, which are excluded"},
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
            "description": "file-1.dcm, ... in the order of the parts; the original name if de-identification is off",
        },
        "laterality": {"type": ["string", "null"], "description": "R or L; null if unknown"},
        "view": {"type": ["string", "null"], "description": "Such as CC or MLO; null if unknown"},
        "category": {"type": "string", "enum": list(CATEGORIES), "description": "BI-RADS category"},
        "probabilities": _PROBABILITIES,
        "possible": {
            "type": "array",
            "items": {"type": "string", "enum": list(CATEGORIES)},
            "description": "90% prediction set: adjacent categories that contain the true one in 90% of patients "
            "similar to the calibration set; empty if the model has none",
        },
        "warnings": {"type": "array", "items": {"type": "string"}},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _assessment() -> dict[str, Any]:
    category = {"enum": list(ASSESSMENTS)}
    properties = {
        "reader": {"type": "string", "description": "Name of the radiologist's account"},
        "at": {"type": "string", "format": "date-time"},
        "signed": {"type": "boolean"},
        "category": {"enum": [*ASSESSMENTS, None], "description": "Category of the more suspicious breast"},
        "breasts": {
            "type": "object",
            "propertyNames": {"enum": list(SIDES)},
            "additionalProperties": category,
        },
        "density": {"enum": [*DENSITIES, None]},
        "findings": {"type": "array", "items": _finding()},
        "text": {"type": "string"},
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


def _error() -> dict[str, Any]:
    problem = {
        "type": "object",
        "required": ["file", "error"],
        "properties": {"file": {"type": "string"}, "error": {"type": "string"}},
    }
    return {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {"type": "string", "description": "Message: what was received and what to do"},
            "problems": {
                "type": "array",
                "description": "One entry for each rejected file; `file` is empty if it concerns all files",
                "items": problem,
            },
        },
    }


def _errors(*statuses: str) -> dict[str, Any]:
    return {status: {"description": _ERRORS[status], "content": _json("Error")} for status in statuses}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": _reference(schema)}}


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}
