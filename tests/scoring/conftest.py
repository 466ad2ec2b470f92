"""A site with a tiny model, whose commands start processes of their own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.cluster.connection import local_cluster

pytest.importorskip("distributed", reason="the packages of requirements-cluster.txt are not installed")
pytest.importorskip("pyarrow", reason="the packages of requirements-cluster.txt are not installed")

Score = Callable[..., Result]


@pytest.fixture
def config(config: dict[str, object], tiny_models: Path, tmp_path: Path) -> dict[str, object]:
    """Return the configuration with a tiny model and float32."""
    shutil.copytree(tiny_models, tmp_path / "models", dirs_exist_ok=True)
    return {**config, "BIRADS_PRECISION": "f32"}


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """Start a cluster of two worker processes on this machine; return its address."""
    with local_cluster(2) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def score(app: Flask, runner: FlaskCliRunner, scheduler: str) -> Score:
    """Return a function that runs ``flask score`` on the cluster and expects an exit status."""

    def run(data: object, out: Path, *more: str, status: int = 0, on: str | None = scheduler) -> Result:
        cluster = [] if on is None else ["--scheduler", on]
        done = runner.invoke(args=["score", "--data", str(data), "--out", str(out), *cluster, *more])
        assert done.exit_code == status, done.output
        return done

    return run
