"""Fixtures of training tests: images, and a tiny model instead of the demonstration model."""

import shutil
from pathlib import Path

import pytest
from flask import Flask

from tests.conftest import MakeOnce, with_model
from training.phantoms.generate import write_set


@pytest.fixture
def folder(app: Flask, tiny_models: Path) -> Path:
    """Return the application's folder of models, a tiny model in service, and register the training commands."""
    return with_model(app, tiny_models)


@pytest.fixture(scope="session")
def phantoms(once: MakeOnce) -> Path:
    """Forty small phantoms of ten patients, in folders by category."""
    return once("phantoms", lambda folder: write_set(folder / "phantoms", 10, seed=5, size=256)) / "phantoms"


@pytest.fixture
def copies(phantoms: Path, tmp_path: Path) -> Path:
    """A copy of the phantoms to change."""
    return shutil.copytree(phantoms, tmp_path / "copies")
