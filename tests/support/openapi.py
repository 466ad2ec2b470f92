"""Checks of answers against the OpenAPI description."""

from jsonschema import Draft202012Validator

from birads_app.api.description import describe

SPECIFICATION = describe("")


def check(name: str, answer: object) -> None:
    """Check an answer against a schema of the description."""
    check_schema({"$ref": f"#/components/schemas/{name}"}, answer)


def check_schema(schema: dict[str, object], answer: object) -> None:
    """Check an answer against a schema that may refer to those of the description."""
    Draft202012Validator({**schema, "components": SPECIFICATION["components"]}).validate(answer)
