"""Fixtures that all tests share: an application with an instance folder of its own, and the shipped model."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner

from birads_app import create_app
from birads_app.inference import history
from birads_app.inference.predictor import ModelSource
from birads_app.records import migrate

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of the tests."""
    for name in [name for name in os.environ if name.startswith("BIRADS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of the shipped model."""
    folder = ROOT / "models"
    if not (folder / "CURRENT").exists():
        pytest.skip("there is no shipped model in models/")
    return folder


@pytest.fixture(scope="session")
def _model_source(models: Path) -> ModelSource:
    """The shipped model, compiled once for all tests."""
    return ModelSource(models)


@pytest.fixture
def config(tmp_path: Path) -> dict[str, object]:
    """What the test's application is configured with."""
    return {
        "BIRADS_INSTANCE": str(tmp_path / "instance"),
        "BIRADS_MODELS": str(tmp_path / "models"),
        "TESTING": True,
        "WTF_CSRF_ENABLED": False,
    }


@pytest.fixture
def app(config: dict[str, object]) -> Iterator[Flask]:
    """The application without a model, with an empty database."""
    app = create_app(config)
    with app.app_context():
        migrate.upgrade()
    yield app


@pytest.fixture
def serving_app(app: Flask, _model_source: ModelSource) -> Flask:
    """The application with the shipped model."""
    app.extensions["birads_models"] = _model_source
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without a session; asking for ``serving_app`` too gives it a model."""
    return app.test_client()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    """Runs commands."""
    return app.test_cli_runner()


@pytest.fixture
def folder(app: Flask, models: Path) -> Path:
    """The application's folder of models, with the shipped one, which serves; commands of training are there."""
    from training.cli import register

    folder = Path(app.extensions["birads_settings"].models)
    shutil.copytree(models / "birads-demo", folder / "birads-demo", copy_function=os.link)
    history.set_current(folder, "birads-demo")
    register(app)
    return folder
