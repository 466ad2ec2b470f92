"""``flask reproduce``: the paper's experiments with and without leaks, and backbone weights up to stage conv4."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.model import registry
from birads_app.terms.errors import ModelError
from tests.support.nearest_neighbor_head import NearestNeighborHead
from training.cli.commands import register
from training.config import TrainConfig
from training.data.dataset import Dataset, Example
from training.engine.backbone import keras_resnet50
from training.evaluation.evaluate import Interval
from training.features.extract import Features
from training.heads import HEADS
from training.paper.reproduce import ROWS, PaperRow, Reproduction, compare
from training.paper.table import lines, page


@pytest.fixture
def run(app: Flask, runner: FlaskCliRunner, models: Path):
    register(app)
    folder = Path(app.extensions["birads_settings"].models)
    shutil.copytree(models / "birads-demo", folder / "birads-demo", copy_function=os.link)
    registry.promote(folder, "birads-demo")

    def invoke(*arguments: str, status: int = 0) -> str:
        result = runner.invoke(args=["reproduce", *arguments])
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        assert sorted(path.name for path in folder.iterdir()) == ["CURRENT", "birads-demo"]
        return result.output

    return invoke


def test_the_table_is_printed_and_written_as_json_and_html(
    run, phantoms: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(HEADS, "nearest", NearestNeighborHead)
    output = run(
        "--data", str(phantoms), "--classes", "1,5", "--heads", "nearest", "--out", str(tmp_path / "out")
    )
    assert (
        "module 1: SMOTE, then split" in output
        and "WARNING: the features come from the backbone of the model birads-demo" in output
    )
    table = json.loads((tmp_path / "out" / "reproduction.json").read_text("utf-8"))
    assert [row["title"] for row in table["rows"]] == [title for title, *_ in ROWS]
    for row in table["rows"]:
        for name in ("accuracy", "f1", "kappa"):
            paper, leak_free, leak = (row[side][name] for side in ("paper", "leak_free", "leak"))
            assert leak["value"] == pytest.approx(paper["value"] - leak_free["value"])
            assert leak["low"] <= leak["high"]
    assert table["rows"][1]["leak_free"] == table["rows"][2]["leak_free"]
    html = (tmp_path / "out" / "reproduction.html").read_text("utf-8")
    assert html.count("<tr>") == 10 and "http" not in html


def test_an_unknown_head_is_refused_before_images_are_read(run, phantoms: Path) -> None:
    assert "--head has to be one of" in run("--data", str(phantoms), "--heads", "dense,forest", status=1)


def test_categories_with_too_few_images_are_excluded_with_a_message(
    run, phantoms: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(phantoms, tmp_path / "copies")
    for category in "23":
        for path in sorted((data / f"Birads{category}").iterdir())[1:]:
            path.unlink()
    for category in "45":
        shutil.rmtree(data / f"Birads{category}")
    assert "Excluded, with fewer than 10 images" in run("--data", str(data), status=1)


def test_the_html_page_escapes_its_values() -> None:
    figures = {name: Interval(0.5, 0.4, 0.6) for name in ("accuracy", "f1", "kappa")}
    row = PaperRow("<dense>", "imbalanced", {"accuracy": 0.9181}, figures, figures, figures)
    reproduction = Reproduction("<data>", ("1", "5"), 4, 2, "p", "b", ("<caution>",), (row,), {})
    html = page(reproduction)
    assert "<dense>" not in html and "&lt;caution&gt;" in html and "&lt;data&gt;" in html
    accuracy, f1 = (
        line for line in lines(reproduction) if line.startswith("<dense>") and "kappa" not in line
    )
    assert "0.918" in accuracy and "0.918" not in f1


@pytest.mark.parametrize("folds", [0, 3])
def test_with_folds_the_bootstrap_samples_of_both_protocols_are_paired(folds: int) -> None:
    """With one image per patient both protocols give the same predictions, so that paired samples do not differ."""
    random = np.random.default_rng(0)
    rows, categories = random.normal(size=(60, 4)).astype(np.float32), random.choice(list("35"), 60)
    examples = (
        Example(Path(f"{n}.png"), str(code), f"P{n:02d}", known=True) for n, code in enumerate(categories)
    )
    features = Features(Dataset(tuple(examples)), rows, (1, 1, 4), (), 0)
    config = TrainConfig(data="data", name="m", head="nearest", folds=folds, replicates=50)
    imbalanced, *_ = compare(config, NearestNeighborHead(), features, print)
    for leak in imbalanced.leak.values():
        assert leak.value == 0
        assert (leak.low, leak.high) == (0, 0) if folds else leak.low < 0 < leak.high


def test_weights_up_to_conv4_give_feature_maps_of_the_usual_shape(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    whole = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(None, None, 3))
    low = keras.Model(whole.input, whole.get_layer("conv4_block6_out").output)
    low.save_weights(tmp_path / "c4.weights.h5")
    image = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)
    maps = np.asarray(keras_resnet50(tmp_path / "c4.weights.h5")(image, training=False))
    expected = np.asarray(low(image, training=False))
    assert expected.shape == (1, 4, 4, 1024) and maps.shape == (1, 2, 2, 2048)
    average, highest = maps[..., :1024], maps[..., 1024:]
    assert np.allclose(average.mean(axis=(1, 2)), expected.mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)
    assert np.allclose(highest.max(axis=(1, 2)), expected.max(axis=(1, 2)), rtol=1e-4, atol=1e-6)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    import keras

    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)]
    keras.Sequential(layers).save_weights(tmp_path / "small.weights.h5")
    with pytest.raises(ModelError, match="does not contain the weights of Keras' ResNet50"):
        keras_resnet50(tmp_path / "small.weights.h5")
