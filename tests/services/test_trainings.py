"""Trainings that the browser starts: what is refused, and what is told of those that ended."""

import fcntl
import json
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.config import read
from birads_app.records.errors import TrainingRefused
from birads_app.records.schema import Role
from birads_app.services import training_runs
from birads_app.services.training_runs import State
from tests.support.factories import make_user, sign_in
from training.cli.commands import register
from training.cli.options import HEADS as OFFERED
from training.heads import HEADS

FORM = {
    "name": "mine",
    "source": "phantoms",
    "phantoms": "8",
    "head": "dense",
    "resampling": "smote-train",
    "split": "patient",
    "folds": "0",
    "loss": "cross-entropy",
    "epochs": "3",
    "test_share": "0.2",
    "seed": "0",
}


@pytest.fixture
def config(config: dict[str, object], tmp_path: Path) -> dict[str, object]:
    (tmp_path / "allowed" / "hospital").mkdir(parents=True)
    (tmp_path / "allowed" / "out").symlink_to(tmp_path)
    return {**config, "BIRADS_TRAINING_ROOTS": str(tmp_path / "allowed")}


@pytest.fixture
def admin(app: Flask, client: FlaskClient, tmp_path: Path) -> FlaskClient:
    """Signed in, on a server with training and a model's name that is taken."""
    register(app)
    (tmp_path / "models" / "taken").mkdir(parents=True)
    (tmp_path / "models" / "taken" / "manifest.json").touch()
    make_user(app, "anna", Role.ADMIN)
    sign_in(client, "anna")
    return client


def ended(app: Flask, training_id: str, log: str, name: str = "mine") -> training_runs.Training:
    """A training that left this log."""
    place = Path(app.instance_path) / "trainings" / training_id
    place.mkdir(parents=True)
    content = {"id": training_id, "name": name, "data": None, "options": {"head": "dense"}, "who": "anna"}
    (place / "training.json").write_text(json.dumps(content))
    (place / "log.txt").write_text(log)
    return training_runs.get(training_id)


def test_the_form_offers_every_head() -> None:
    assert list(HEADS) == list(OFFERED)


def test_roots_are_parted_by_colons() -> None:
    assert read({"BIRADS_TRAINING_ROOTS": "/a: /b:"}).training_roots == (Path("/a"), Path("/b"))


def test_a_folder_outside_is_refused_by_name(app: Flask, admin: FlaskClient, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    inside = str(allowed / "hospital")
    with app.app_context():
        assert training_runs.folders() == [str(allowed), inside, str(allowed / "out")]
        assert training_runs.data_folder(inside) == inside
        for path in ("/etc", str(tmp_path), f"{inside}/../..", str(allowed / "out")):
            with pytest.raises(TrainingRefused, match="is not inside a folder"):
                training_runs.data_folder(path)
    answer = admin.post("/admin/trainings", data={**FORM, "source": "folder", "data": "/etc"})
    assert answer.status_code == 422 and "/etc is not inside a folder" in answer.text
    assert not list((Path(app.instance_path) / "trainings").glob("2*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "../x"}, "cannot be a model's name"),
        ({"name": "--resume"}, "cannot be a model's name"),
        ({"name": "taken"}, "already a model named"),
        ({"head": "forest"}, "Not a valid choice"),
        ({"source": "folder", "data": "/x\0"}, "Invalid input"),
        ({"classes": "1\0"}, "Invalid input"),
        ({"epochs": "0"}, "Number must be at least 1"),
        ({"test_share": "0.9"}, "between 0.05 and 0.5"),
    ],
)
def test_what_cannot_be_trained_is_said_on_the_form(admin: FlaskClient, change: dict, said: str) -> None:
    answer = admin.post("/admin/trainings", data={**FORM, **change})
    assert answer.status_code == 422 and said in answer.text.replace("&#39;", "'")


def test_one_runs_at_a_time(app: Flask, admin: FlaskClient) -> None:
    with app.app_context():
        training = ended(app, "20260101-120000-abcdef", "")
        lock = Path(app.instance_path) / "trainings" / "running"
        lock.write_text(json.dumps({"id": training.id}))
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert training_runs.running() == training
            assert training_runs.standing(training).state == State.RUNNING
            refused = admin.post("/admin/trainings", data=FORM)
            assert refused.status_code == 422 and "Another training is running" in refused.text
        assert training_runs.running() is None
        with pytest.raises(TrainingRefused, match="does not run"):
            training_runs.stop(training, "anna")


def test_how_it_ended_is_told_from_what_it_left(app: Flask, admin: FlaskClient) -> None:
    with app.app_context():
        failed = ended(app, "20260101-120000-000001", "some line\nError: There is no folder x.\n", "a")
        standing = training_runs.standing(failed)
        assert (standing.state, standing.error) == (State.FAILED, "There is no folder x.")
        page = admin.get(f"/admin/trainings/{failed.id}").text
        assert "There is no folder x." in page and "Go on" not in page

        stopped = ended(app, "20260101-120000-000002", "Error: Interrupted. No model was written.", "b")
        work = Path(app.instance_path) / "training" / "b"
        work.mkdir(parents=True)
        (work / "settings.json").write_text("{}")
        assert training_runs.standing(stopped).state == State.STOPPED
        assert training_runs.standing(stopped).resumable

        finished = ended(app, "20260101-120000-000003", "figures", "taken")
        assert training_runs.standing(finished).state == State.FINISHED
    assert admin.post(f"/admin/trainings/{finished.id}/resume").status_code == 409
    assert admin.get("/admin/trainings/..%2Fx").status_code == 404
