"""Fixtures of the tests of pages: signed-in browsers."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.records.schema import Role
from tests.support.factories import make_user, sign_in


@pytest.fixture
def reader(app: Flask, client: FlaskClient) -> FlaskClient:
    """A signed-in radiologist's browser."""
    make_user(app)
    sign_in(client)
    return client


@pytest.fixture
def admin(app: Flask, client: FlaskClient) -> FlaskClient:
    """A signed-in administrator's browser."""
    make_user(app, "anna", Role.ADMIN)
    sign_in(client, "anna")
    return client
