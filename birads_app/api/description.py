"""The OpenAPI 3.1 description of the interface."""

from typing import Any

from birads_app.api.authentication import SCOPES
from birads_app.api.exam_list import LIMIT_MAX, ORDERS, POSITION, PSEUDONYM, UID
from birads_app.api.preferences import ASYNC
from birads_app.api.schemas import SCHEMAS, reference
from birads_app.records.schema import Status
from birads_app.records.worklist import PER_PAGE
from birads_app.version import __version__

_ERRORS = {
    "400": "No file, or an empty one",
    "401": "Missing, unknown or expired token",
    "403": "The token lacks the scope, which the message names; or its account has read-only access",
    "404": "Exam or job not found",
    "413": "Too many bytes, too many files, or an image with too many pixels",
    "415": "The body is not multipart/form-data, or a file's format is not supported",
    "422": "A file is damaged or not a mammogram; files are rejected for different reasons; or the key was sent with "
    "other files",
    "429": "The account has too many uploads at a time, or the address sent many wrong tokens; `Retry-After` says when "
    "to try again",
    "503": "The server is busy, with `Retry-After`; or no active model, or the database is not ready",
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
            "/exams": {"get": _list()},
            "/exams/{exam_id}/report.fhir": {"get": _report()},
            "/jobs": {"get": _list_jobs()},
            "/jobs/{job_id}": {"get": _show_job()},
            "/openapi.json": {"get": _openapi()},
        },
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`flask token create NAME`. Scopes: `read` shows all exams; `upload` sends images "
                    "and shows the exams that its account uploaded; `admin` shows the figures at /metrics and jobs.",
                }
            },
            "schemas": SCHEMAS,
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
                "description": "DICOM, PNG, JPEG, TIFF, BMP or PGM, one part per image; or ZIP, tar or gzip archives",
            }
        },
    }
    return {
        "operationId": "createPrediction",
        "security": _scopes("api.create"),
        "summary": "Predict and store the images of one or several exams",
        "description": "Each study becomes one exam. Either all files are stored or none; the response lists each "
        "rejected file.",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "A new one for each upload, with which it may be sent again: the exams are stored once",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]*$"},
            },
            {
                "name": "Prefer",
                "in": "header",
                "description": "`respond-async` (RFC 7240): the response comes before the files are read",
                "schema": {"type": "string"},
            },
        ],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": body}}},
        "responses": {
            "201": {
                "description": "The stored exam with the AI result; `exams` if the files belong to several",
                "headers": {
                    "Location": {
                        "description": "Address of the exam; absent if there are several",
                        "schema": {"type": "string"},
                    }
                },
                "content": {
                    "application/json": {"schema": {"oneOf": [reference("Exam"), reference("SeveralExams")]}}
                },
            },
            "202": {
                "description": "With `Prefer: respond-async`: the job that reads the files later",
                "headers": {
                    "Location": {"description": "Address of the job", "schema": {"type": "string"}},
                    "Preference-Applied": {"schema": {"const": ASYNC}},
                },
                "content": _json("Job"),
            },
            **_errors("400", "401", "403", "413", "415", "422", "429", "503", "507"),
        },
    }


def _show_job() -> dict[str, Any]:
    return {
        "operationId": "getJob",
        "security": _scopes("api.job"),
        "summary": "Get the state of an upload that is read later",
        "description": "An account gets its own uploads, with their exams or the reasons for which files are rejected; "
        "the scope `admin` shows those of others without them. Uploads that ended are kept for a week.",
        "parameters": [{"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {
            "200": {"description": "The job", "content": _json("Job")},
            **_errors("401", "403", "404", "429", "503"),
        },
    }


def _list_jobs() -> dict[str, Any]:
    found = {
        "type": "object",
        "required": ["jobs"],
        "properties": {"jobs": {"type": "array", "items": reference("Job")}},
    }
    return {
        "operationId": "listJobs",
        "security": _scopes("api.jobs"),
        "summary": "List jobs of all kinds",
        "description": "Uploads that are read later, received studies, deliveries to the PACS, trainings, "
        "housekeeping: what waits, runs or has failed, and what was done last.",
        "responses": {
            "200": {"description": "The jobs", "content": {"application/json": {"schema": found}}},
            **_errors("401", "403", "429", "503"),
        },
    }


def _show() -> dict[str, Any]:
    return {
        "operationId": "getPrediction",
        "security": _scopes("api.show"),
        "summary": "Get a stored exam",
        "parameters": [{"name": "exam_id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {
            "200": {"description": "The exam", "content": _json("Exam")},
            **_errors("401", "403", "404", "429", "503"),
        },
    }


def _report() -> dict[str, Any]:
    return {
        "operationId": "getReport",
        "security": _scopes("api.report"),
        "summary": "Get the last signed report of an exam as FHIR R4 DiagnosticReport",
        "description": "It contains the patient, the radiologist, the ImagingStudy and the findings. If the token's "
        "account may see identities, it names the patient, with true dates; else it has the pseudonym, and a shifted "
        "date has the extension `urn:birads-reader:date-shifted`.",
        "parameters": [{"name": "exam_id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {
            "200": {
                "description": "The report",
                "content": {"application/fhir+json": {"schema": {"type": "object"}}},
            },
            **_errors("401", "403", "404", "429", "503"),
        },
    }


def _list() -> dict[str, Any]:
    pseudonym, uid, position = (
        {"type": "string", "pattern": pattern.pattern} for pattern in (PSEUDONYM, UID, POSITION)
    )
    moment = {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}
    place = "Place in the list, from the header `Link` of another page"
    limit = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": PER_PAGE}
    parameters = [
        _query("status", {"type": "string", "enum": list(Status)}, "Only exams of this status"),
        _query("since", moment, "Received at this time or later: a date or a time, in UTC unless stated"),
        _query(
            "patient",
            {"type": "string", "pattern": PSEUDONYM.pattern},
            "Pseudonym of the patient, or its beginning",
        ),
        _query(
            "study",
            {"type": "string", "pattern": UID.pattern},
            "Study Instance UID, as stored or as in the received files",
        ),
        _query(
            "attention", {"enum": ["true", "false"], "default": "false"}, "Only exams that need attention"
        ),
        _query("order", {"enum": list(ORDERS), "default": ORDERS[0]}, "By time of arrival"),
        _query("limit", limit, "Number of exams per page"),
        _query("after", position, place),
        _query("before", position, f"{place}; not together with `after`"),
    ]
    link = "Addresses of other pages (RFC 8288): `next`, `prev`, `first`; absent if there is one page only"
    found = {
        "type": "object",
        "required": ["exams"],
        "properties": {"exams": {"type": "array", "items": reference("ListedExam")}},
    }
    return {
        "operationId": "listExams",
        "security": _scopes("api.listing"),
        "summary": "List exams",
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "A page of exams",
                "headers": {"Link": {"description": link, "schema": {"type": "string"}}},
                "content": {"application/json": {"schema": found}},
            },
            "400": {"description": "A parameter is unknown or invalid", "content": _json("Error")},
            **_errors("401", "403", "429", "503"),
        },
    }


def _query(name: str, schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": about, "schema": schema}


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


def _scopes(endpoint: str) -> list[dict[str, list[str]]]:
    """Return the scopes of an endpoint, one of which a token needs."""
    return [{"token": [scope]} for scope in SCOPES[endpoint]]


def _errors(*statuses: str) -> dict[str, Any]:
    return {status: {"description": _ERRORS[status], "content": _json("Error")} for status in statuses}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": reference(schema)}}
