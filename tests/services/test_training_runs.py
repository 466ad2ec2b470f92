"""Trainings started from the browser: refusals, and the state of each training."""

import fcntl
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.config import read
from birads_app.records.errors import DatasetRefused, TrainingRefused
from birads_app.records.schema import Role
from birads_app.services import datasets, training_runs
from birads_app.services.training_runs import State
from tests.support.factories import make_user, sign_in
from training.cli.commands import register
from training.config import HEADS as OFFERED
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
    return {**config, "BIRADS_TRAINING_DATA_DIRS": str(tmp_path / "allowed")}


@pytest.fixture
def admin(app: Flask, client: FlaskClient, tmp_path: Path) -> FlaskClient:
    """Return a signed-in client of a server with training and an existing model."""
    register(app)
    (tmp_path / "models" / "taken").mkdir(parents=True)
    (tmp_path / "models" / "taken" / "manifest.json").touch()
    make_user(app, "anna", Role.ADMIN)
    sign_in(client, "anna")
    return client


def ended(
    app: Flask,
    progress: dict[str, Any] | None,
    name: str = "mine",
    training_id: str = "20260101-120000-abcdef",
    *,
    log: str = "",
    options: Mapping[str, str] = MappingProxyType({"head": "dense"}),
) -> training_runs.Training:
    """Create a training with this state file and this log."""
    place = Path(app.instance_path) / "trainings" / training_id
    place.mkdir(parents=True)
    content = {"id": training_id, "name": name, "data": None, "options": dict(options), "who": "anna"}
    (place / "training.json").write_text(json.dumps(content))
    (place / "log.txt").write_text(log)
    if progress is not None:
        (place / "progress.json").write_text(json.dumps(progress))
    return training_runs.get(training_id)


def run_directory(app: Flask, name: str) -> None:
    """Create the files that resuming a training needs."""
    folder = Path(app.instance_path) / "training" / name
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text("{}")


def test_the_overview_knows_the_trainings_that_ran(app: Flask, admin: FlaskClient) -> None:
    assert "No training yet" in admin.get("/admin/").text
    with app.app_context():
        ended(app, {"state": "failed", "reason": "too few images"}, "first", "20260101-120000-abcdef")
        ended(app, {"state": "finished"}, "second", "20260202-130000-abcdef")
    page = " ".join(admin.get("/admin/").text.split())
    assert "/admin/trainings/20260202-130000-abcdef" in page and "finished, <time" in page
    assert "2 Feb 2026, 13:00 UTC" in page and ">2 trainings<" in page and "No training yet" not in page


def test_the_form_offers_every_head() -> None:
    assert list(HEADS) == list(OFFERED)


def test_data_folders_are_separated_by_colons() -> None:
    assert read({"BIRADS_TRAINING_DATA_DIRS": "/a: /b:"}).training_data_dirs == (Path("/a"), Path("/b"))


def test_a_folder_outside_of_the_data_folders_is_refused(
    app: Flask, admin: FlaskClient, tmp_path: Path
) -> None:
    allowed = tmp_path / "allowed"
    inside = str(allowed / "hospital")
    with app.app_context():
        assert datasets.folders() == [str(allowed), inside, str(allowed / "out")]
        assert datasets.data_folder(inside) == inside
        for path in ("/etc", str(tmp_path), f"{inside}/../..", str(allowed / "out")):
            with pytest.raises(DatasetRefused, match="is not allowed"):
                datasets.data_folder(path)
    answer = admin.post("/admin/trainings", data={**FORM, "source": "folder", "data": "/etc"})
    assert answer.status_code == 422 and "/etc is not allowed" in answer.text
    assert not list((Path(app.instance_path) / "trainings").glob("2*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "../x"}, "is not a valid model name"),
        ({"name": "--resume"}, "is not a valid model name"),
        ({"name": "taken"}, "A model named taken already exists"),
        ({"head": "forest"}, "Not a valid choice"),
        ({"source": "folder", "data": "/x\0"}, "Invalid input"),
        ({"classes": "1\0"}, "Invalid input"),
        ({"epochs": "0"}, "Number must be at least 1"),
        ({"test_share": "0.9"}, "between 0.05 and 0.5"),
    ],
)
def test_invalid_settings_are_reported_on_the_form(admin: FlaskClient, change: dict, said: str) -> None:
    answer = admin.post("/admin/trainings", data={**FORM, **change})
    assert answer.status_code == 422 and said in answer.text.replace("&#39;", "'")


def test_only_one_training_runs_at_a_time(app: Flask, admin: FlaskClient) -> None:
    with app.app_context():
        training = ended(app, None)
        lock = Path(app.instance_path) / "trainings" / "running"
        lock.write_text(json.dumps({"id": training.id}))
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert training_runs.running() == training
            assert training_runs.standing(training).state == State.RUNNING
            refused = admin.post("/admin/trainings", data=FORM)
            assert refused.status_code == 422 and "Another training is running" in refused.text
        assert training_runs.running() is None
        with pytest.raises(TrainingRefused, match="is not running"):
            training_runs.stop(training, "anna")


def test_a_failed_training_is_shown_as_failed(app: Flask, admin: FlaskClient) -> None:
    with app.app_context():
        failed = ended(app, {"state": "failed", "reason": "There is no folder x."})
        standing = training_runs.standing(failed)
        assert (standing.state, standing.reason) == (State.FAILED, "There is no folder x.")
        assert not standing.resumable
        page = admin.get(f"/admin/trainings/{failed.id}").text
        assert "There is no folder x." in page and "Resume" not in page
        run_directory(app, "mine")
        assert training_runs.standing(failed).resumable


def test_a_training_that_failed_before_writing_a_state_is_shown_as_failed(
    app: Flask, admin: FlaskClient
) -> None:
    with app.app_context():
        failed = ended(app, None, log="ImportError: no TensorFlow")
        standing = training_runs.standing(failed)
        assert standing.state == State.FAILED and "see the log" in standing.reason
    assert "ImportError: no TensorFlow" in admin.get(f"/admin/trainings/{failed.id}").text


def test_an_interrupted_training_is_shown_as_interrupted(app: Flask, admin: FlaskClient) -> None:
    with app.app_context():
        interrupted = ended(
            app, {"state": "interrupted", "reason": "Interrupted."}, log="Error: Out of memory."
        )
        run_directory(app, "mine")
        standing = training_runs.standing(interrupted)
        assert (standing.state, standing.resumable) == (State.INTERRUPTED, True)
    assert "Resume" in admin.get(f"/admin/trainings/{interrupted.id}").text


def test_a_finished_training_is_shown_as_finished(app: Flask, admin: FlaskClient) -> None:
    with app.app_context():
        # The log would have told another story.
        finished = ended(app, {"state": "finished", "reason": ""}, "taken", log="Error: no\n")
        assert training_runs.standing(finished).state == State.FINISHED
    assert admin.post(f"/admin/trainings/{finished.id}/resume").status_code == 409
    assert admin.get("/admin/trainings/..%2Fx").status_code == 404


HELD = """
import fcntl, sys, time
from pathlib import Path
from training import progress
lock = open(sys.argv[2])
fcntl.flock(lock, fcntl.LOCK_EX)
with progress.written_to(Path(sys.argv[1])), progress.steps("head", 9, "epoch") as bar:
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_training_is_running_until_its_process_is_killed(app: Flask, admin: FlaskClient) -> None:
    with app.app_context():
        training = ended(app, None)
        lock = Path(app.instance_path) / "trainings" / "running"
        lock.write_text(json.dumps({"id": training.id}))
        state_file = Path(app.instance_path) / "trainings" / training.id / "progress.json"
        command = [sys.executable, "-c", HELD, str(state_file), str(lock)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=app.root_path + "/..") as process:
            assert process.stdout and process.stdout.readline() == b"ready\n"
            standing = training_runs.standing(training)
            assert standing.state == State.RUNNING and standing.progress["task"] == "head"
            process.kill()
        standing = training_runs.standing(training)
        assert standing.state == State.INTERRUPTED and "killed" in standing.reason
        assert json.loads(state_file.read_text())["state"] == "running"


def test_loss_and_accuracy_are_drawn_for_head_and_fine_tuning(app: Flask, admin: FlaskClient) -> None:
    with app.app_context():
        curves = {
            "head": [[0.9, 1.0, 0.25, 0.3], [0.5, 0.7, 0.5, 0.6]],
            "fine-tuning": [[None, 0.7, None, 0.6], [0.4, 0.6, 0.7, 0.75]],
        }
        training = ended(app, {"task": "fine-tuning", "part": "", "done": 1, "total": 9, "curves": curves})
    page = admin.get(f"/admin/trainings/{training.id}").text
    assert (
        page.count('class="curve"') == 4
        and page.count("<polyline") == 6
        and page.count('<circle class="curve-training"') == 2
    )
    assert "Loss by epoch, after 2 epochs. Last validation loss: 0.600." in page
    assert "Last validation accuracy: 60%." in page and "Last validation accuracy: 75%." in page
    assert page.count(">accuracy</text>") == 2 and page.count(">100%</text>") == 2


def test_trainings_of_earlier_versions_are_shown(app: Flask, admin: FlaskClient) -> None:
    with app.app_context():
        losses = {"head": [[0.9, 1.0], [0.5, 0.7]]}
        progress = {"task": "head", "part": "", "done": 3, "total": 9, "curves": losses}
        finished = ended(app, progress, "taken", "20260101-120000-000001", options={"traps": "no"})
        assert training_runs.standing(finished).state == State.FINISHED
        assert finished.options == {"sanity_checks": "no"}
        interrupted = ended(app, progress, "mine", "20260101-120000-000002")
        assert training_runs.standing(interrupted).state == State.INTERRUPTED
    chart = admin.get(f"/admin/trainings/{interrupted.id}/progress").json["charts"]["head"]
    assert chart.count("<svg") == 1 and "Last validation loss: 0.700." in chart
    overview = admin.get("/admin/").text
    assert "2 trainings" in overview and f"/admin/trainings/{interrupted.id}" in overview
    assert "No training yet" not in overview and "stopped, " in overview
