"""``flask models ensemble``: several bundles as one."""

import json
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.imaging.decode import decode
from birads_app.model import bundles, registry
from birads_app.model.predictor import Predictor
from birads_app.model.training_digests import TrainingDigests
from tests.support import tiny_model
from training.pipeline import ensemble

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models of one backbone and different temperatures, and one of another backbone."""
    folder = tmp_path_factory.mktemp("members")
    tiny_model.write(folder, "first")
    tiny_model.write(folder, "narrow", channels=64)
    second = bundles.load(folder / "first")
    bundles.write(
        folder,
        "second",
        manifest={**second.manifest, "temperature": 0.4, "demonstration": False},
        card="# second\n",
        backbone=(second.path / bundles.BACKBONE).read_bytes(),
        head=(folder / "first" / bundles.HEAD).read_bytes(),
        evaluation={},
        trained_on=TrainingDigests(patients=frozenset([b"p" * 16])),
    )
    return folder


@pytest.mark.parametrize("names", [("first", "second"), ("first", "narrow"), ("narrow", "first", "second")])
def test_the_probabilities_are_the_means_of_the_members(
    names: tuple[str, ...], members: Path, phantoms: Path, tmp_path: Path
) -> None:
    found = [bundles.load(members / name) for name in names]
    joined = bundles.load(ensemble.write(tmp_path, "joint", found))
    assert joined.classes == found[0].classes and joined.temperature == 1 and joined.threshold is None
    predictors = [Predictor.load(one, precision="f32") for one in found]
    tensorflow = Predictor.load(joined, engine="tensorflow", precision="f32")
    predictor = Predictor.load(joined, precision="f32")
    for path in sorted(phantoms.glob("*/*.png"))[:3]:
        mammogram = decode(path.read_bytes(), path.name)
        expected = np.mean(
            [list(one.predict(mammogram).probabilities.values()) for one in predictors], axis=0
        )
        answer, seen = predictor.examine(mammogram)
        np.testing.assert_allclose(list(answer.probabilities.values()), expected, atol=1e-5)
        np.testing.assert_allclose(
            list(tensorflow.predict(mammogram).probabilities.values()), expected, atol=1e-4
        )
        assert predictor.heat_maps(seen)["5"].shape == (7, 7)
    shared = {"first", "second"} >= set(names)
    maps = predictor.engine.maps(seen.tensor[None])
    assert maps.shape[3] == (2048 if shared else 2048 + 64)
    assert ("all share" in joined.card) is shared
    known = joined.trained_on
    assert known is not None and not known.complete, "the training of the first member is not recorded"
    assert known.patients == (frozenset([b"p" * 16]) if "second" in names else frozenset())


def test_an_ensemble_is_shown_evaluated_and_promoted_with_a_reason(
    app: Flask, runner: FlaskCliRunner, folder: Path, phantoms: Path, tmp_path: Path
) -> None:
    second = bundles.load(folder / "birads-demo")
    bundles.write(
        folder,
        "second",
        manifest={**second.manifest, "protocol": {"title": "by image", "may_serve": False}, "leaks": True},
        card="# second\n",
        backbone=(second.path / bundles.BACKBONE).read_bytes(),
        head=(second.path / bundles.HEAD).read_bytes(),
        evaluation={"figures": {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}}},
    )
    result = runner.invoke(args=["models", "ensemble", "joint", "birads-demo", "second"])
    assert result.exit_code == 0 and "flask evaluate --model joint" in result.output, result.output
    shown = runner.invoke(args=["models", "show", "joint"]).output
    assert "An ensemble of 2 models: birads-demo, second." in shown
    assert "| second | its own | 0.500 (0.400 to 0.600) | not measured |" in shown
    assert "**birads-demo: " in shown
    before = bundles.load(folder / "joint").card
    assert runner.invoke(args=["models", "card", "joint"]).exit_code == 0
    assert bundles.load(folder / "joint").card == before
    options = ("--model", "joint", "--data", str(phantoms), "--classes", "1,5", "--out", str(tmp_path))
    assert runner.invoke(args=["evaluate", *options]).exit_code == 0
    assert json.loads((tmp_path / "evaluation.json").read_text())["drift"] == []
    refused = runner.invoke(args=["models", "promote", "joint", "--reason", "to try"])
    assert refused.exit_code == 1 and "data leakage" in refused.output
    override = ("--override-protocol", "--reason", "to try")
    assert runner.invoke(args=["models", "promote", "joint", *override]).exit_code == 0
    assert registry.current_name(folder) == "joint"


def test_models_that_do_not_fit_are_refused(runner: FlaskCliRunner, folder: Path) -> None:
    alone = runner.invoke(args=["models", "ensemble", "joint", "birads-demo", "birads-demo"])
    assert (
        alone.exit_code == 1 and "at least two different models. Got birads-demo, birads-demo" in alone.output
    )
    one = bundles.load(folder / "birads-demo")
    bundles.write(
        folder,
        "other",
        manifest={**one.manifest, "classes": ["1", "2", "3", "4", "6"]},
        card="# other\n",
        backbone=(one.path / bundles.BACKBONE).read_bytes(),
        head=(one.path / bundles.HEAD).read_bytes(),
        evaluation={},
    )
    other = runner.invoke(args=["models", "ensemble", "joint", "birads-demo", "other"])
    assert (
        other.exit_code == 1
        and "need the same categories. Got birads-demo 1, 2, 3, 4, 5; other" in other.output
    )
    taken = runner.invoke(args=["models", "ensemble", "other", "birads-demo", "other"])
    assert taken.exit_code == 1 and not (folder / "joint").exists()
