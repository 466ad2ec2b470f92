"""A head learns from rows and serves from a graph; one contract for every kind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from birads_app.inference import bundle as bundles
from birads_app.inference import explain, preprocess
from birads_app.inference.calibration import softmax
from birads_app.inference.decode import Mammogram
from birads_app.inference.engine import open_graph
from birads_app.inference.predictor import Predictor
from training.errors import TrainingError
from training.heads import HEADS, Lesson, TrainedHead, head
from training.phantoms import patients

MAP_SHAPE = (4, 4, 32)
CLASSES = 3
NETWORKS = ["dense", "cnn-lstm", "conv-transformer"]


def drawn(count: int, shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps in which one channel a category is raised at one place, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % CLASSES)
    maps = np.abs(rng.normal(0, 0.3, (count, *shape))).astype(np.float32)
    maps[np.arange(count), rng.integers(0, shape[0], count), rng.integers(0, shape[1], count), labels] += 8
    return maps.astype(np.float16).astype(np.float32), labels  # as feature maps come out of the cache


def lesson_for(
    kind: str, shape: tuple[int, int, int] = MAP_SHAPE, count: int = 180, **knobs: object
) -> Lesson:
    """Two thirds to learn from, one third to validate."""
    maps, labels = drawn(count, shape, seed=0)
    rows, kept = head(kind).rows(maps), 2 * count // 3
    lesson = Lesson(
        rows=rows[:kept],
        labels=labels[:kept],
        validation_rows=rows[kept:],
        validation_labels=labels[kept:],
        classes=CLASSES,
        map_shape=shape,
        seed=0,
        epochs=40,
        patience=10,
        batch_size=16,
        learning_rate=3e-3,
        dropout=0.2,
        loss="cross-entropy",
    )
    return replace(lesson, **knobs)


@pytest.fixture(scope="module", params=list(HEADS))
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def trained(kind: str) -> TrainedHead:
    return head(kind).fit(lesson_for(kind))


def test_it_learns(trained: TrainedHead, kind: str) -> None:
    maps, labels = drawn(90, MAP_SHAPE, seed=1)
    logits = trained.logits(head(kind).rows(maps))
    assert logits.shape == (90, CLASSES) and logits.dtype == np.float32
    assert (logits.argmax(axis=1) == labels).mean() > 0.85
    assert bool(trained.curve) is (kind in NETWORKS)
    assert trained.about.endswith(".") and trained.facts["validation_loss"] < np.log(CLASSES)


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_its_graph_gives_its_answers(trained: TrainedHead, kind: str, engine: str, tmp_path: Path) -> None:
    maps = drawn(21, MAP_SHAPE, seed=2)[0]
    maps = np.concatenate([maps[:20], explain.occlude(maps[20])])
    path = tmp_path / "head.pb"
    path.write_bytes(trained.freeze(MAP_SHAPE))
    expected = softmax(trained.logits(head(kind).rows(maps)))
    assert np.ptp(expected, axis=0).max() > 0.3
    np.testing.assert_allclose(softmax(open_graph(path, engine, "f32")(maps)), expected, atol=1e-3)


@pytest.mark.parametrize("kind", [kind for kind in HEADS if kind not in NETWORKS])
def test_it_serves_with_maps(kind: str, models: Path, tmp_path: Path) -> None:
    """A head on the shipped backbone answers for an image, and hiding places changes its answer."""
    shipped = bundles.load(models / "birads-demo")
    shape = (7, 7, 2048)
    taught = head(kind).fit(lesson_for(kind, shape, 30, epochs=1))
    path = bundles.write(
        tmp_path,
        "mine",
        manifest={
            "classes": ["1", "3", "5"],
            "demonstration": False,
            "preprocessing": {"version": preprocess.VERSION, "size": shipped.size},
            "head": {"kind": kind, **taught.facts},
            "temperature": 1.0,
            "training": {},
        },
        card="",
        backbone=(shipped.path / bundles.BACKBONE).read_bytes(),
        head=taught.freeze(shape),
        evaluation={},
    )
    _, image = next(patients(1, seed=3, size=256))
    answer = Predictor.load(bundles.load(path)).predict(
        Mammogram(
            pixels=image.pixels << 4,
            source="PNG",
            bits=16,
            view="CC",
            laterality="L",
            spacing=None,
            colourfulness=0.0,
            notes=(),
        )
    )
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    for heat in answer.maps.values():
        assert heat.shape == (7, 7) and np.isfinite(heat).all() and heat.min() >= 0


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_ordinal_loss_teaches_networks(kind: str) -> None:
    maps, labels = drawn(90, MAP_SHAPE, seed=1)
    taught = head(kind, "ordinal").fit(lesson_for(kind, loss="ordinal"))
    assert (taught.logits(head(kind).rows(maps)).argmax(axis=1) == labels).mean() > 0.85
    assert taught.facts["loss"] == "ordinal" and "ordinal loss" in taught.about


@pytest.mark.parametrize("kind", [kind for kind in HEADS if kind != "cnn-lstm"])
def test_the_same_seed_gives_the_same_head(kind: str) -> None:
    lesson = lesson_for(kind, epochs=2)
    one, two = (head(kind).fit(lesson).logits(lesson.validation_rows) for _ in range(2))
    np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_learned_with_names_what_can() -> None:
    with pytest.raises(TrainingError, match="dense.*cnn-lstm.*'svmm'"):
        head("svmm")
    with pytest.raises(TrainingError, match="cross-entropy, ordinal.*'hinge'"):
        head("dense", "hinge")
    with pytest.raises(TrainingError, match="knn cannot.*dense, cnn-lstm, conv-transformer"):
        head("knn", "ordinal")


def test_the_best_epoch_stays() -> None:
    lesson = lesson_for("dense", epochs=12, patience=3)
    taught = head("dense").fit(lesson)
    probabilities = softmax(taught.logits(lesson.validation_rows))
    truth = probabilities[np.arange(len(lesson.validation_labels)), lesson.validation_labels]
    assert taught.facts["validation_loss"] == pytest.approx(-np.log(truth).mean(), abs=2e-3)
    assert taught.facts["best_epoch"] <= taught.facts["epochs"] <= 12
    validation = [loss for _, loss in taught.curve]
    assert len(validation) == taught.facts["epochs"]
    assert int(np.argmin(validation)) + 1 == taught.facts["best_epoch"]
    assert 0 < taught.curve[-1][0] < taught.curve[0][0]
