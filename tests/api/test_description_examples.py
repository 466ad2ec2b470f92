"""Requests that Schemathesis makes from the OpenAPI description: each answer matches it, and none is a 5xx."""

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.factories import bearer, make_token, mammogram_png, post_files
from tests.support.openapi import SPECIFICATION

# Operations with requests that match the description, and with others where there is something to get wrong.
REQUESTS = [
    (method.upper(), path, mode)
    for path, item in SPECIFICATION["paths"].items()
    for method, operation in item.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or operation.keys() & {"parameters", "requestBody"}
]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "mode"), REQUESTS)
def test_requests_made_from_the_description(
    serving_app: Flask, method: str, path: str, mode: GenerationMode
) -> None:
    load_all_checks()
    token = make_token(serving_app)
    post_files(serving_app.test_client(), token, ("a.png", mammogram_png()))
    operation = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", serving_app)[path][method]
    # No schema describes an image.
    left_out = [positive_data_acceptance] if method == "POST" else []

    @seed(13)
    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case) -> None:
        assume(mode is GenerationMode.NEGATIVE or not {"after", "before"} <= case.query.keys())
        case.call_and_validate(headers=bearer(token), excluded_checks=left_out)

    send()
