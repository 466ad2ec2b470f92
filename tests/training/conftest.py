"""Fixtures of training tests: images, and a tiny model instead of the demonstration model."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.conftest import MakeOnce, with_model
from training.heads import DenseHead
from training.phantoms.generate import write_set


@pytest.fixture
def folder(app: Flask, tiny_models: Path) -> Path:
    """Return the application's folder of models, a tiny model in service, and register the training commands."""
    return with_model(app, tiny_models)


@pytest.fixture(scope="module")
def small_network() -> Iterator[None]:
    """Give the dense head one small layer, for modules that train often and do not depend on the network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DenseHead, "widths", (16,))
        yield


@pytest.fixture(scope="session")
def phantoms(once: MakeOnce) -> Path:
    """Forty small phantoms of ten patients, in folders by category."""
    return once("phantoms", lambda folder: write_set(folder / "phantoms", 10, seed=5, size=256)) / "phantoms"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache common to all tests, so that each image is decoded and passes the backbone once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def copies(phantoms: Path, tmp_path: Path) -> Path:
    """A copy of the phantoms to change."""
    return shutil.copytree(phantoms, tmp_path / "copies")
