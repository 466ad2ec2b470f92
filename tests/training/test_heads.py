"""Requirements for every head: fit, freeze, both engines, bundle, heat maps, promotion."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.imaging.decode import decode
from birads_app.model import bundles, occlusion, preprocess, registry
from birads_app.model.calibration import softmax
from birads_app.model.engine import open_graph
from birads_app.model.predictor import Predictor
from tests.conftest import ROOT
from training.cli.commands import register
from training.config import DEMO_MODEL, Site, TrainConfig
from training.data import dataset
from training.data.loader import load_dataset
from training.engine.freeze import freeze
from training.errors import TrainingError
from training.heads import HEADS, FitArguments, TrainedHead, head
from training.heads.pooling import POOLINGS
from training.phantoms.generate import write_set
from training.pipeline import train

pytestmark = pytest.mark.slow

MAP_SHAPE = (4, 4, 32)
CLASSES = 3
NETWORKS = ["dense", "cnn-lstm", "conv-transformer"]
# Two networks on whole maps differ in their layers only, which the tests before bundles compare by themselves.
BUNDLED = [
    pytest.param(kind, marks=pytest.mark.slow) if kind == "conv-transformer" else kind for kind in HEADS
]

# What a serving process does with each bundle that it is given; prints what came out.
SERVE = """
import json, sys
from pathlib import Path
from birads_app.model import bundles
from birads_app.imaging.decode import decode
from birads_app.model.predictor import Predictor

def served(path):
    predictor = Predictor.load(bundles.load(Path(path)), "openvino", "f32")
    answers = [predictor.examine(decode(Path(name).read_bytes(), name)) for name in images]
    return [
        (answer.probabilities, {code: heat.tolist() for code, heat in predictor.heat_maps(seen).items()})
        for answer, seen in answers
    ]

paths, images = json.load(sys.stdin)
found = {kind: served(path) for kind, path in paths.items()}
json.dump([found, "tensorflow" in sys.modules], sys.stdout)
"""


def random_maps(count: int, shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw feature maps with one channel per category raised in one cell, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % CLASSES)
    maps = np.abs(rng.normal(0, 0.3, (count, *shape))).astype(np.float32)
    maps[np.arange(count), rng.integers(0, shape[0], count), rng.integers(0, shape[1], count), labels] += 8
    return maps.astype(np.float16).astype(np.float32), labels  # as feature maps come out of the cache


def arguments_for(
    kind: str, shape: tuple[int, int, int] = MAP_SHAPE, count: int = 180, **changes: object
) -> FitArguments:
    """Split into two thirds for training and one third for validation."""
    maps, labels = random_maps(count, shape, seed=0)
    rows, kept = head(kind).features(maps), 2 * count // 3
    arguments = FitArguments(
        features=rows[:kept],
        labels=labels[:kept],
        validation_features=rows[kept:],
        validation_labels=labels[kept:],
        classes=CLASSES,
        map_shape=shape,
        seed=0,
        epochs=20,
        patience=4,
        batch_size=30,
        learning_rate=8e-3,
        dropout=0.2,
        loss="cross-entropy",
    )
    return replace(arguments, **changes)


@pytest.fixture(scope="module", params=list(HEADS))
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def batches() -> list[tuple[int, float, float]]:
    """Rows, loss and accuracy of each batch that the head of :func:`trained` learned from."""
    return []


@pytest.fixture(scope="module")
def trained(kind: str, batches: list[tuple[int, float, float]]) -> TrainedHead:
    import keras

    learn = keras.Model.train_on_batch

    def learn_and_record(model: Any, rows: np.ndarray, labels: np.ndarray, weights: None) -> list[float]:
        learned = learn(model, rows, labels, weights)
        batches.append((len(rows), *learned))
        return learned

    batches.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "train_on_batch", learn_and_record)
        return head(kind).fit(arguments_for(kind, batch_size=50))


def test_a_head_classifies_separable_data(trained: TrainedHead, kind: str) -> None:
    maps, labels = random_maps(90, MAP_SHAPE, seed=1)
    logits = trained.logits(head(kind).features(maps))
    assert logits.shape == (90, CLASSES) and logits.dtype == np.float32
    assert (logits.argmax(axis=1) == labels).mean() > 0.85
    assert bool(trained.curves) is (kind in NETWORKS)
    assert trained.about.endswith(".") and trained.facts["validation_loss"] < np.log(CLASSES)


def test_both_engines_give_the_same_logits(trained: TrainedHead, kind: str, tmp_path: Path) -> None:
    maps = random_maps(21, MAP_SHAPE, seed=2)[0]
    maps = np.concatenate([maps[:20], *occlusion.occlude(maps[20])])
    path = tmp_path / "head.pb"
    path.write_bytes(trained.freeze(MAP_SHAPE))
    expected = softmax(trained.logits(head(kind).features(maps)))
    assert np.ptp(expected, axis=0).max() > 0.3
    for engine in ("openvino", "tensorflow"):
        np.testing.assert_allclose(softmax(open_graph(path, engine, "f32")(maps)), expected, atol=1e-3)


@pytest.mark.parametrize("kind", [kind for kind in HEADS if kind not in NETWORKS[1:]], indirect=True)
def test_the_same_seed_gives_the_same_head(trained: TrainedHead, kind: str) -> None:
    arguments = arguments_for(kind, batch_size=50)
    again = head(kind).fit(arguments).logits(arguments.validation_features)
    np.testing.assert_allclose(again, trained.logits(arguments.validation_features), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", NETWORKS, indirect=True)
def test_the_best_epoch_is_kept(trained: TrainedHead, kind: str) -> None:
    arguments = arguments_for(kind)
    probabilities = softmax(trained.logits(arguments.validation_features))
    truth = probabilities[np.arange(len(arguments.validation_labels)), arguments.validation_labels]
    assert trained.facts["validation_loss"] == pytest.approx(-np.log(truth).mean(), abs=2e-3)
    assert trained.facts["epochs"] == min(arguments.epochs, trained.facts["best_epoch"] + arguments.patience)
    curve = trained.curves["head"]
    validation = [epoch.validation_loss for epoch in curve]
    assert len(validation) == trained.facts["epochs"]
    assert int(np.argmin(validation)) + 1 == trained.facts["best_epoch"]
    assert 0 < curve[-1].loss < curve[0].loss and curve[-1].accuracy > curve[0].accuracy
    right = probabilities.argmax(axis=1) == arguments.validation_labels
    assert curve[trained.facts["best_epoch"] - 1].validation_accuracy == pytest.approx(right.mean(), abs=0.02)


@pytest.mark.parametrize("kind", NETWORKS, indirect=True)
def test_the_training_figures_of_an_epoch_are_means_over_all_its_rows(trained: TrainedHead, batches) -> None:
    rows, losses, accuracies = np.array(batches[:3]).T
    assert rows.tolist() == [50, 50, 20] and len(set(losses)) == 3
    first = trained.curves["head"][0]
    assert first.loss == pytest.approx((rows * losses).sum() / 120)
    assert first.accuracy == pytest.approx((rows * accuracies).sum() / 120)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    """Sixty small phantoms of fifteen patients."""
    return write_set(tmp_path_factory.mktemp("data") / "phantoms", 15, seed=5, size=128).parent


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    """Return a folder of models with a small backbone: three convolutions with fixed weights."""
    folder = tmp_path_factory.mktemp("site")
    random, size, widths = np.random.default_rng(0), 64, (3, 8, 16, MAP_SHAPE[2])
    kernels = [
        random.normal(0, (9 * inputs) ** -0.5, (3, 3, inputs, outputs)).astype(np.float32)
        for inputs, outputs in zip(widths, widths[1:], strict=False)
    ]
    kernels[0] -= kernels[0].mean(axis=(0, 1, 2))  # answers to what stands out, not to grey

    def maps_of(images: Any) -> Any:
        import tensorflow as tf

        for kernel, stride in zip(kernels, (4, 2, 2), strict=True):
            images = tf.nn.relu(tf.nn.conv2d(images, kernel, stride, "SAME"))
        return images / 20

    def logits_of(maps: Any) -> Any:
        import tensorflow as tf

        return tf.reduce_mean(maps, [1, 2])[:, :CLASSES]

    bundles.write(
        folder,
        DEMO_MODEL,
        manifest={
            "classes": ["1", "3", "5"],
            "demonstration": True,
            "preprocessing": {"version": preprocess.VERSION, "size": size},
            "head": {"kind": "none"},
            "temperature": 1.0,
        },
        card="",
        backbone=freeze(maps_of, (None, size, size, 3), "image"),
        head=freeze(logits_of, (None, *MAP_SHAPE), "maps"),
        evaluation={},
    )
    return Site(models=folder, cache=tmp_path_factory.mktemp("cache"), precision="f32")


@pytest.fixture(scope="module")
def bundle_of(
    request: pytest.FixtureRequest, site: Site, phantoms: Path
) -> dict[str, tuple[Path, np.ndarray]]:
    """Train a bundle with each head that is tested; return it with the head's own logits of all images."""
    tested = {
        item.callspec.params["kind"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "bundle_of" in item.fixturenames
    }
    found = {}
    for kind in filter(tested.__contains__, HEADS):
        config = TrainConfig(
            data=str(phantoms),
            name=kind,
            head=kind,
            epochs=12,
            classes=("1", "3", "5"),
            sanity_checks=False,
            report_images=False,
            replicates=50,
        )
        with pytest.MonkeyPatch.context() as patch:
            learned = _recorded(patch, kind)
            path = train.train(config, site, print).path
        source = train.open_backbone(config, site)
        loaded = load_dataset(train.find(config), site.cache, source.size)
        features = train.read(config, site, source, head(kind), loaded, print)
        logits = learned[-1].logits(features.array)
        found[kind] = (path, softmax(logits, bundles.load(path).temperature))
    return found


def _recorded(patch: pytest.MonkeyPatch, kind: str) -> list[TrainedHead]:
    """Record every head of this kind fitted from now on."""
    learned: list[TrainedHead] = []
    fit: Callable[..., TrainedHead] = HEADS[kind].fit  # type: ignore[attr-defined]

    def fit_and_keep(self: Any, *given: Any) -> TrainedHead:
        learned.append(fit(self, *given))
        return learned[-1]

    patch.setattr(HEADS[kind], "fit", fit_and_keep)
    return learned


@pytest.fixture(scope="module")
def served(bundle_of, phantoms: Path) -> dict[str, Any]:
    """Return each head's logits from a new process with the bundles only and without TensorFlow."""
    found = dataset.read(phantoms, ("1", "3", "5")).dataset
    asked = json.dumps(
        [{k: str(path) for k, (path, _) in bundle_of.items()}, [str(one.path) for one in found.examples]]
    )
    result = subprocess.run(
        [sys.executable, "-c", SERVE], input=asked, capture_output=True, text=True, cwd=ROOT, check=True
    )
    answers, loaded_tensorflow = json.loads(result.stdout)
    assert not loaded_tensorflow
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("kind", BUNDLED)
def test_a_new_process_gives_the_same_logits(kind: str, bundle_of, served) -> None:
    """Compare within half precision, in which training caches rows."""
    expected = bundle_of[kind][1]
    given = np.array([list(probabilities.values()) for probabilities, _ in served[kind]])
    assert [*served[kind][0][0]] == ["1", "3", "5"]
    spread = np.ptp(expected, axis=0).max()
    assert spread > 0.05
    np.testing.assert_allclose(given, expected, atol=0.05 * spread)


@pytest.mark.parametrize("kind", BUNDLED)
def test_heat_maps_show_the_informative_cells(kind: str, served) -> None:
    heat = np.array([list(maps.values()) for _, maps in served[kind]])
    assert heat.shape[1:] == (CLASSES, *MAP_SHAPE[:2])
    assert np.isfinite(heat).all() and heat.min() >= 0
    assert heat.max() > 0


@pytest.mark.parametrize("kind", BUNDLED)
def test_a_bundle_with_the_head_is_promoted(kind: str, bundle_of, app: Flask, runner: FlaskCliRunner) -> None:
    register(app)
    folder = Path(app.extensions["birads_settings"].models)
    shutil.copytree(bundle_of[kind][0], folder / kind, copy_function=os.link)
    result = runner.invoke(args=["models", "promote", kind, "--reason", "to try"])
    assert result.exit_code == 0 and f"{kind} is in service now" in result.output, result.output
    assert registry.current_name(folder) == kind


def test_networks_fit_with_the_ordinal_loss() -> None:
    maps, labels = random_maps(90, MAP_SHAPE, seed=1)
    trained = head("dense", "ordinal").fit(arguments_for("dense", loss="ordinal"))
    assert (trained.logits(head("dense").features(maps)).argmax(axis=1) == labels).mean() > 0.85
    assert trained.facts["loss"] == "ordinal" and "ordinal loss" in trained.about
    assert [kind for kind in HEADS if head(kind).is_network] == NETWORKS


@pytest.mark.slow
def test_networks_fit_with_the_focal_loss_and_weights() -> None:
    """The category of great weight is predicted where maps tell nothing."""
    arguments = arguments_for("dense", loss="focal", focal_gamma=1.0, epochs=8, class_weights=(1.0, 6.0, 1.0))
    empty = np.zeros_like(arguments.features), np.zeros_like(arguments.validation_features)
    arguments = replace(arguments, features=empty[0], validation_features=empty[1])
    trained = head("dense", "focal").fit(arguments)
    assert (trained.logits(empty[0]).argmax(axis=1) == 1).all()
    assert trained.facts["loss"] == "focal" and trained.facts["class_weights"] == [1.0, 6.0, 1.0]
    assert "the focal loss with exponent 1 and the weights 1, 6, 1 of the categories" in trained.about


def test_an_unknown_head_or_loss_is_refused_with_the_alternatives() -> None:
    with pytest.raises(TrainingError, match="dense.*cnn-lstm.*'svmm'"):
        head("svmm")
    with pytest.raises(TrainingError, match="cross-entropy, ordinal.*'hinge'"):
        head("dense", "hinge")
    with pytest.raises(TrainingError, match="knn does not support.*dense, cnn-lstm, conv-transformer"):
        head("knn", "ordinal")
    with pytest.raises(TrainingError, match="svm does not support --loss focal"):
        head("svm", "focal")


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_pooling_gives_the_same_features_in_a_graph(pooling: str) -> None:
    maps = random_maps(5, (4, 3, 6), seed=3)[0]
    found = POOLINGS[pooling].array(maps)
    np.testing.assert_allclose(np.asarray(POOLINGS[pooling].graph(maps)), found, rtol=1e-4)
    if pooling in ("avg", "gem"):
        assert found.shape == (5, 6) and (found >= maps.mean(axis=(1, 2)) * 0.999).all()
        assert (found <= maps.max(axis=(1, 2))).all()


def test_located_features_are_those_of_the_cells_with_the_highest_activation() -> None:
    maps = np.random.default_rng(0).random((3, 5, 6, 4)).astype(np.float32)
    found = POOLINGS["located"].array(maps)
    assert found.shape == (3, 2 * 3)
    for image, features in zip(maps.reshape(3, 30, 4), found, strict=True):
        highest = image[np.argsort(image[:, -1])[-12:], :3]
        np.testing.assert_allclose(features[:3], highest.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(features[3:], highest.max(axis=0))


# Heads that pool rows, learned weights of cells with and without a network, and pooling by layers.
POOLED = [
    *(("logistic-regression", pooling) for pooling in ("avg", "gem", "attention")),
    ("dense", "attention"),
    ("cnn-lstm", "gem"),
    ("cnn-lstm", "located"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "pooling"), POOLED)
def test_every_head_takes_every_pooling(kind: str, pooling: str, tmp_path: Path) -> None:
    """On a map larger than the LSTM reads, and not square."""
    shape = (10, 4, 8)
    maps, labels = random_maps(180, shape, seed=0)
    made = head(kind, pooling=pooling)
    rows = made.features(maps)
    trained = made.fit(
        replace(
            arguments_for("dense", shape, epochs=25),
            features=rows[:120], labels=labels[:120],
            validation_features=rows[120:], validation_labels=labels[120:],
        )
    )  # fmt: skip
    fresh, truth = random_maps(60, shape, seed=1)
    expected = trained.logits(made.features(fresh))
    assert (expected.argmax(axis=1) == truth).mean() > 0.8
    path = tmp_path / "head.pb"
    path.write_bytes(trained.freeze(shape))
    for engine in ("openvino", "tensorflow"):
        np.testing.assert_allclose(
            softmax(open_graph(path, engine, "f32")(fresh)), softmax(expected), atol=2e-3
        )


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"avg\+max, avg, gem, attention, located. Got 'max'"):
        head("dense", pooling="max")


@pytest.mark.slow
def test_a_model_of_another_size_and_pooling_serves_with_heat_maps(phantoms: Path, site: Site) -> None:
    config = TrainConfig(
        data=str(phantoms), name="tall", head="dense", size="192x96", pooling="gem", epochs=4, classes=("1", "3", "5"),
        sanity_checks=False, replicates=50,
    )  # fmt: skip
    bundle = bundles.load(train.train(config, site, print).path)
    assert bundle.size == (192, 96) and bundle.manifest["preprocessing"]["size"] == [192, 96]
    assert bundle.manifest["head"]["pooling"] == "gem" and "192 x 96 pixels" in bundle.card
    image = next(phantoms.glob("Birads3/*.png"))
    predictor = Predictor.load(bundle)
    answer, seen = predictor.examine(decode(image.read_bytes(), image.name))
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert predictor.heat_maps(seen)["3"].shape == (12, 6)
    assert registry.verify(site.models, "tall", "openvino", "f32").size == bundle.size
