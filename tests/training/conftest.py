"""Fixtures of the tests of training: a tiny model in place of the shipped one, whose backbone they train on."""

from pathlib import Path

import pytest
from flask import Flask

from tests.conftest import with_model


@pytest.fixture
def folder(app: Flask, tiny_models: Path) -> Path:
    """The application's folder of models, with a tiny one, which serves; commands of training are there."""
    return with_model(app, tiny_models)
