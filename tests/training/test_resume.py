"""Resuming of interrupted trainings."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from test_heads import arguments_for

from birads_app.model import bundles, registry
from birads_app.terms.errors import BiradsError
from tests.conftest import MakeOnce
from training.engine import fit
from training.engine.fit import TrainedNetwork
from training.engine.fit_arguments import FitArguments
from training.engine.learning_curve import Epoch
from training.heads import head
from training.phantoms.generate import write_set
from training.pipeline.name_lock import hold_name
from training.pipeline.run_directory import RunDirectory

pytestmark = pytest.mark.usefixtures("small_network")

HOLDOUT = ("--classes", "1,3", "--epochs", "4", "--no-sanity-checks", "--no-report-images")
OPTIONS = (*HOLDOUT, "--folds", "2")


@pytest.fixture(scope="module")
def half_and_whole(
    small_network: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, TrainedNetwork]:
    """The checkpoint after two epochs of four, and the network that four in one go give."""
    arguments, path = (
        arguments_for("dense", count=60, epochs=4),
        tmp_path_factory.mktemp("half") / "network.npz",
    )
    head("dense").fit(replace(arguments, epochs=2, checkpoint=path))
    assert [path.name for path in path.parent.iterdir()] == ["network.npz"]
    return path.read_bytes(), head("dense").fit(arguments)


@pytest.mark.parametrize(
    "content",
    [
        "whole",
        "cut off",
        pytest.param("empty", marks=pytest.mark.slow),
        pytest.param("no archive", marks=pytest.mark.slow),
        pytest.param("of another", marks=pytest.mark.slow),
    ],
)
def test_only_a_valid_checkpoint_of_the_same_run_is_resumed(
    content: str, half_and_whole: tuple[bytes, TrainedNetwork], tmp_path: Path
) -> None:
    arguments, path = arguments_for("dense", count=60, epochs=4), tmp_path / "network.npz"
    half, whole = half_and_whole
    if content == "of another":
        head("dense").fit(replace(arguments_for("dense", (2, 2, 8), 60, epochs=1), checkpoint=path))
    else:
        kept = {"whole": half, "cut off": half[:5000], "empty": b"", "no archive": b"no archive"}
        path.write_bytes(kept[content])
    with pytest.MonkeyPatch.context() as patch:
        learned = counted_epochs(patch)
        trained = head("dense").fit(replace(arguments, checkpoint=path))
    assert len(learned) == (2 if content == "whole" else 4)
    np.testing.assert_allclose(trained.curves["head"], whole.curves["head"], atol=1e-6)
    rows = arguments.validation_features
    np.testing.assert_allclose(trained.logits(rows), whole.logits(rows), atol=1e-5)


def counted_epochs(patch: pytest.MonkeyPatch) -> list[int]:
    """Record the number of each epoch that is trained from now on."""
    real, learned = fit._epoch, []

    def epoch(model: object, arguments: FitArguments, number: int) -> Epoch:
        learned.append(number)
        return real(model, arguments, number)

    patch.setattr(fit, "_epoch", epoch)
    return learned


@pytest.fixture
def phantoms(once: MakeOnce) -> Path:
    """Return a set of twelve patients, with enough images of category 3 for each fold."""
    return (
        once("phantoms-12", lambda folder: write_set(folder / "phantoms", 12, seed=5, size=256)) / "phantoms"
    )


@pytest.fixture
def work(app: Flask) -> Path:
    return Path(app.extensions["birads_settings"].instance) / "training"


@pytest.fixture
def flask(runner: FlaskCliRunner, folder: Path):
    def run(*arguments: str, status: int = 0) -> str:
        result = runner.invoke(args=arguments)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        assert registry.current_name(folder) == "birads-demo"
        assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]
        return result.output

    return run


def interrupt_at(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Interrupt epoch ``call`` of the run, counted from 0."""
    real, calls = fit._epoch, iter(range(1000))

    def epoch(*arguments: object) -> Epoch:
        if next(calls) == call:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(fit, "_epoch", epoch)


def figures(folder: Path, name: str) -> dict[str, object]:
    evaluation = json.loads((folder / name / "evaluation.json").read_text())
    return {key: evaluation[key] for key in ("confusion", "figures", "before", "after")}


@pytest.mark.slow
def test_every_fold_of_a_cross_validation_is_resumed(flask, folder: Path, work: Path, copies: Path) -> None:
    flask("train", "--data", str(copies), "--name", "whole", *OPTIONS)
    assert not (work / "whole").exists()
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, 2)
        output = flask("train", "--data", str(copies), "--name", "cut", *OPTIONS, status=1)
        assert "To continue: flask train --resume --name cut" in output
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, 5)  # two epochs of the model itself, three of the first fold
        assert "To continue: " in flask("train", "--resume", "--name", "cut", status=1)
    assert sorted(path.name for path in (work / "cut").glob("*.npz")) == ["fold-0.npz", "fold-1.npz"]

    moved = copies.rename(copies.with_name("moved"))
    assert "There is neither a folder nor a label table" in flask(
        "train", "--resume", "--name", "cut", status=1
    )
    moved.rename(copies)
    image = next((copies / "Birads1").iterdir())
    content = image.read_bytes()
    image.unlink()
    assert "used different images" in flask("train", "--resume", "--name", "cut", status=1)
    image.write_bytes(content)

    flask("train", "--resume", "--name", "cut")
    assert not (work / "cut").exists()
    assert figures(folder, "cut") == figures(folder, "whole")
    manifests = [bundles.load(folder / name).manifest for name in ("cut", "whole")]
    assert manifests[0]["head"] == manifests[1]["head"]
    assert manifests[0]["temperature"] == pytest.approx(manifests[1]["temperature"], rel=1e-5)


def test_without_resume_training_restarts_and_mentions_the_option(flask, work: Path, phantoms) -> None:
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, 1)
        flask("train", "--data", str(phantoms), "--name", "cut", *OPTIONS, status=1)
    kept = work / "cut" / "fold-0.npz"
    assert kept.exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "_epoch", lambda *_: pytest.fail() if kept.exists() else _interrupt())
        output = flask("train", "--data", str(phantoms), "--name", "cut", *OPTIONS, status=1)
    assert "flask train --resume --name cut would have continued" in output


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_an_interrupt_after_the_last_step_reports_the_complete_model(
    flask, folder: Path, work: Path, phantoms: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "remove", lambda self: _interrupt() if self.exists else None)
        output = flask("train", "--data", str(phantoms), "--name", "done", *HOLDOUT, status=1)
    assert "The model done is complete" in output
    assert (work / "done").exists() and bundles.load(folder / "done")
    assert "had finished and the model is written" in flask("train", "--resume", "--name", "done")
    assert not (work / "done").exists()


@pytest.mark.parametrize(
    ("options", "status", "line"),
    [
        (("--name", "x", "--resume"), 1, "no interrupted training of a model named x"),
        (("--name", "../x", "--resume"), 1, "is not a valid model name"),
        (
            ("--name", "x", "--resume", "--epochs", "3", "--head", "knn"),
            2,
            "cannot be combined with --epochs, --head",
        ),
        (("--name", "x", "--resume", "--preset", "demo"), 2, "cannot be combined with --preset"),
        (("--name", "x"), 2, "Missing option '--data'"),
    ],
)
def test_resuming_without_a_run_is_refused(flask, options, status, line) -> None:
    assert line in flask("train", *options, status=status)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"classes": 1}', '{"classes": [], "knob": 1}'])
def test_damaged_settings_are_reported(flask, work: Path, content: str) -> None:
    (work / "x").mkdir(parents=True)
    (work / "x" / "settings.json").write_text(content)
    assert "Start over, without --resume" in flask("train", "--resume", "--name", "x", status=1)


def test_settings_of_the_former_demonstration_preset_are_refused(flask, work: Path) -> None:
    (work / "x").mkdir(parents=True)
    (work / "x" / "settings.json").write_text('{"preset": "demo", "data": "/data", "compare_with": []}')
    assert "Start over, without --resume" in flask("train", "--resume", "--name", "x", status=1)


def test_leftovers_of_killed_trainings_are_removed(tmp_path: Path) -> None:
    for left in (".dead-abcdefgh", ".alive-abcdefgh", ".dead-b-abcdefgh", ".backup-20260101"):
        (tmp_path / left).mkdir()
    (tmp_path / ".dead.lock").touch()
    with hold_name(tmp_path, "alive"), hold_name(tmp_path, "other"):
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {
            ".alive.lock",
            ".other.lock",
            ".alive-abcdefgh",
            ".dead-b-abcdefgh",
            ".backup-20260101",
        }
        with pytest.raises(BiradsError, match="Another training"), hold_name(tmp_path, "alive"):
            pass
