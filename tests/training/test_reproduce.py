"""``flask reproduce``: the paper's experiments with and without leaks, and backbone weights up to stage conv4."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskCliRunner

from birads_app.model import bundles
from birads_app.terms.errors import ModelError
from tests.support.nearest_neighbor_head import NearestNeighborHead
from training.config import TrainConfig
from training.data.dataset import Dataset, Example
from training.engine.backbone import CONV4_CHANNELS, ends_at_conv4, keras_resnet50
from training.engine.learning_curve import Epoch
from training.evaluation.evaluate import Interval
from training.features.extract import Features
from training.heads import HEADS
from training.paper import reproduce
from training.paper.kept_runs import KeptRuns
from training.paper.page import page
from training.paper.reproduce import (
    FIGURES,
    IMBALANCED,
    MODULE_1,
    MODULE_2,
    PUBLISHED,
    ROWS,
    PaperRow,
    ProtocolOutcome,
    Reproduction,
    compare,
)
from training.paper.table import lines
from training.pipeline.measure import Measurement


@pytest.fixture
def run(runner: FlaskCliRunner, folder: Path):
    manifest = folder / "birads-demo" / bundles.MANIFEST
    told = manifest.read_text().replace("random weights", "fine-tuned on mammograms")
    manifest.unlink()  # which is linked to that of other tests
    manifest.write_text(told)

    def invoke(*arguments: str, status: int = 0) -> str:
        result = runner.invoke(args=["reproduce", *arguments])
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        assert sorted(path.name for path in folder.iterdir()) == ["CURRENT", "birads-demo"]
        return result.output

    return invoke


def test_the_results_are_printed_and_written_as_json_and_html(
    run, phantoms: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(HEADS, "nearest", NearestNeighborHead)
    options = ("--classes", "1,5", "--heads", "nearest", "--backbone-weights", "demo")
    output = run("--data", str(phantoms), *options, "--out", str(tmp_path / "out"))
    assert (
        "module 1: SMOTE, then split" in output
        and "WARNING: the features come from the backbone of the model birads-demo" in output
    )
    table = json.loads((tmp_path / "out" / "reproduction.json").read_text("utf-8"))
    assert table["settings"]["pooling"] == "avg"
    assert [row["title"] for row in table["rows"]] == [title for title, *_ in ROWS]
    html = (tmp_path / "out" / "reproduction.html").read_text("utf-8")
    for row in table["rows"]:
        for name in ("accuracy", "precision", "recall", "f1", "kappa"):
            paper, leak_free = (row[side]["figures"][name] for side in ("paper", "leak_free"))
            leak = row["leak"][name]
            assert leak["value"] == pytest.approx(paper["value"] - leak_free["value"])
            assert leak["low"] <= leak["high"]
            assert all(f"<td>{Interval(**figure)}</td>" in html for figure in (paper, leak_free, leak))
            assert str(Interval(**paper)) in output
        for side in ("paper", "leak_free"):
            right, images = np.trace(row[side]["confusion"]), np.sum(row[side]["confusion"])
            assert row[side]["figures"]["accuracy"]["value"] == pytest.approx(right / images)
        assert row["leak_free"]["leak"] == "" and "THIS PROTOCOL LEAKS" in row["paper"]["leak"]
        assert (
            row["paper"]["leak"] in output
            and f'<th scope="rowgroup" rowspan="5">{row["title"]} (leaks)' in html
        )
    imbalanced, module_1, module_2 = (row["paper"] for row in table["rows"])
    assert (
        "before the split" in module_1["leak"]
        and "before the validation set was split off" in module_2["leak"]
    )
    assert module_2["protocol"].startswith("smote-development, split by image")
    assert np.sum(imbalanced["confusion"]) == np.sum(module_2["confusion"])
    assert table["rows"][1]["leak_free"] == table["rows"][2]["leak_free"]
    assert html.count('class="matrix"') == 5 and "http" not in html


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
    assert "Excluded, with fewer than 10 images" in run(
        "--data", str(data), "--backbone-weights", "demo", status=1
    )


def test_the_html_page_escapes_its_values_and_draws_the_learning_curves() -> None:
    figures = {name: Interval(0.5, 0.4, 0.6) for name in FIGURES}
    curve = [Epoch(1.1, 1.0, 0.5, 0.6).as_dict(), Epoch(0.7, 0.9, 0.75, 0.65).as_dict()]
    paper = ProtocolOutcome("none, split by image", "<leak>", figures, ((2, 0), (1, 1)), {"head": curve})
    leak_free = replace(paper, protocol="none, split by patient", leak="")
    row = PaperRow("<dense>", "imbalanced", {"accuracy": 0.9181}, paper, leak_free, figures)
    reproduction = Reproduction("<data>", ("1", "5"), 4, 2, "p", "b", ("<caution>",), (row,), {})
    html = page(reproduction)
    assert (
        "<dense>" not in html
        and "&lt;caution&gt;" in html
        and "&lt;data&gt;" in html
        and "&lt;leak&gt;" in html
    )
    for quantity in ("Loss", "Accuracy"):
        assert html.count(f'aria-label="{quantity} by epoch: Head"') == 2
    printed = list(lines(reproduction))
    accuracy, *others = (line for line in printed if line.startswith("<dense>  imbalanced"))
    assert "0.918" in accuracy and len(others) == 4 and "0.918" not in "".join(others)
    assert printed.count("  5    1  1") == 2 and "<leak>" in printed


def test_the_published_figures_are_those_of_the_paper() -> None:
    assert PUBLISHED["dense", MODULE_2] == {"accuracy": 0.9}
    assert PUBLISHED["dense", IMBALANCED]["precision"] == 0.4172
    for head in ("dense", "cnn-lstm"):
        assert [*PUBLISHED[head, MODULE_1]] == ["accuracy", "precision", "recall", "f1"]


def random_features() -> Features:
    """Draw rows and categories of sixty patients with one image each."""
    random = np.random.default_rng(0)
    rows, categories = (
        random.normal(size=(60, 4)).astype(np.float32),
        random.choice(list("35"), 60, p=(0.6, 0.4)),
    )
    examples = (
        Example(Path(f"{n}.png"), str(code), f"P{n:02d}", known=True) for n, code in enumerate(categories)
    )
    return Features(Dataset(tuple(examples)), rows, (1, 1, 4), (), 0)


@pytest.mark.parametrize("folds", [0, 3])
def test_with_folds_the_bootstrap_samples_of_both_protocols_are_paired(folds: int) -> None:
    """With one image per patient both protocols give the same predictions, so that paired samples do not differ."""
    config = TrainConfig(data="data", name="m", head="nearest", folds=folds, replicates=50)
    imbalanced, module_1, module_2 = compare(config, NearestNeighborHead(), random_features(), print)
    for leak in imbalanced.leak.values():
        assert leak.value == 0
        assert (leak.low, leak.high) == (0, 0) if folds else leak.low < 0 < leak.high
    if folds:  # the test sets of module 1 contain the synthetic images
        tested = [np.sum(row.paper.confusion) for row in (imbalanced, module_1, module_2)]
        assert tested[1] > tested[0] == tested[2] == 60


def test_an_interrupted_reproduction_continues_with_the_same_result(tmp_path: Path, monkeypatch) -> None:
    config = TrainConfig(data="data", name="m", head="nearest", replicates=50)
    features, kept = random_features(), KeptRuns(tmp_path / "kept")
    whole, begun = list(compare(config, NearestNeighborHead(), features, print)), []

    def measure(chosen: TrainConfig, *more: Any) -> Measurement:
        begun.append((chosen.resampling, chosen.split))
        if len(begun) == 3:
            raise KeyboardInterrupt
        return measured(chosen, *more)

    measured = reproduce.measure
    monkeypatch.setattr(reproduce, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        list(compare(config, NearestNeighborHead(), features, print, kept))
    files = sorted((tmp_path / "kept").iterdir())
    assert len(files) == 2 and not any(b"P0" in path.read_bytes() for path in files)  # they name no patient
    files[0].write_bytes(files[0].read_bytes()[:100])
    said: list[str] = []
    assert list(compare(config, NearestNeighborHead(), features, said.append, kept)) == whole
    assert len(begun) == 7 and len(set(begun)) == 5 and sum("kept from" in line for line in said) == 1
    list(compare(replace(config, seed=1), NearestNeighborHead(), features, print, kept))
    assert len(begun) == 12  # other settings are other runs
    kept.remove()
    assert not (tmp_path / "kept").exists()


@pytest.mark.slow
def test_weights_up_to_conv4_give_the_feature_maps_of_conv4(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    whole = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(None, None, 3))
    low = keras.Model(whole.input, whole.get_layer("conv4_block6_out").output)
    low.save_weights(tmp_path / "c4.weights.h5")
    image = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)
    maps = np.asarray(keras_resnet50(tmp_path / "c4.weights.h5")(image, training=False))
    assert maps.shape == (1, 4, 4, CONV4_CHANNELS)
    assert np.allclose(maps, np.asarray(low(image, training=False)), rtol=1e-4, atol=1e-6)
    assert ends_at_conv4("resnet50", str(tmp_path / "c4.weights.h5"))
    assert not ends_at_conv4("resnet50", "imagenet")


@pytest.mark.slow
def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    import keras

    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)]
    keras.Sequential(layers).save_weights(tmp_path / "small.weights.h5")
    with pytest.raises(ModelError, match="does not contain the weights of Keras' ResNet50"):
        keras_resnet50(tmp_path / "small.weights.h5")
