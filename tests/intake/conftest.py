"""Fixtures of the tests of intake."""

import pytest
from flask import Flask

from birads_app.records import users
from birads_app.records.schema import User
from tests.support.factories import make_user


@pytest.fixture
def reader(app: Flask) -> User:
    """A radiologist's account."""
    make_user(app)
    with app.app_context():
        return users.by_name("reader")
