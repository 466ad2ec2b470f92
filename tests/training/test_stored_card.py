"""Rendering of model cards from stored figures."""

import json
import shutil
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.model import bundles
from birads_app.terms.errors import BundleError
from tests.support.interrupted_writes import interrupt_after
from training import presets
from training.presets import stored_card


@pytest.fixture
def shipped(models: Path, tmp_path: Path) -> Path:
    """Return a copy of the demonstration bundle."""
    return shutil.copytree(models / "birads-demo", tmp_path / "birads-demo")


def change(path: Path, file: str, content: str) -> None:
    """Replace a file of a bundle and its checksum."""
    manifest = json.loads((path / bundles.MANIFEST).read_text())
    (path / file).write_text(content)
    manifest["files"][file] = bundles._entry(content.encode())
    (path / bundles.MANIFEST).write_text(json.dumps(manifest))


def test_the_card_of_the_demonstration_model_equals_the_rendered_one(models: Path) -> None:
    path = models / "birads-demo"
    assert stored_card.render(bundles.load(path)) == (path / bundles.CARD).read_text("utf-8")


def test_the_card_of_the_demonstration_model_has_the_text_of_its_preset(models: Path) -> None:
    assert presets.about("demo") in (models / "birads-demo" / bundles.CARD).read_text("utf-8")


def test_every_figure_comes_from_the_record(shipped: Path) -> None:
    record = json.loads((shipped / bundles.EVALUATION).read_text())
    record["patients"] = 4711
    record["before"]["ece"] = {"value": 0.111, "low": 0.101, "high": 0.121}
    change(shipped, bundles.EVALUATION, json.dumps(record))
    card = stored_card.render(bundles.load(shipped))
    assert "of 4711 held-out patients" in card and "calibration error 0.111 (0.101 to 0.121) before" in card


def test_the_command_writes_the_card(app: Flask, runner: FlaskCliRunner, folder: Path, models: Path) -> None:
    path = Path(app.extensions["birads_settings"].models) / "birads-demo"
    shutil.rmtree(path)
    shutil.copytree(models / "birads-demo", path)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    change(path, bundles.CARD, "an older text\n")
    result = runner.invoke(args=["models", "card", "birads-demo"])
    assert result.exit_code == 0 and f"Wrote the card of birads-demo: {path / 'README.md'}" in result.output
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    assert "demonstration model" in bundles.load(path).card.lower()


def test_models_without_the_figures_keep_their_card(runner: FlaskCliRunner, folder: Path) -> None:
    before = bundles.load(folder / "birads-demo").card
    result = runner.invoke(args=["models", "card", "birads-demo"])
    assert result.exit_code == 1 and "cannot be rendered" in result.output and "lacks" in result.output
    assert "Traceback" not in result.output
    assert bundles.load(folder / "birads-demo").card == before


def test_an_interrupted_replacement_leaves_a_valid_bundle(shipped: Path, monkeypatch) -> None:
    allow = interrupt_after(monkeypatch)
    for writes in range(3):
        allow(writes)
        with pytest.raises(KeyboardInterrupt):
            bundles.replace_card(shipped, f"card {writes}\n")
        assert bundles.load(shipped).card
    allow(3)
    bundles.replace_card(shipped, "card\n")
    assert bundles.load(shipped).card == "card\n"
    assert "former" not in (shipped / bundles.MANIFEST).read_text()
    (shipped / bundles.CARD).write_text("changed by hand\n")
    with pytest.raises(BundleError, match=r"README\.md of model birads-demo was changed"):
        bundles.replace_card(shipped, "card\n")
