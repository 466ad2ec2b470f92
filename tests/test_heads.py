"""A head learns from rows and serves from a graph."""

from dataclasses import replace

import numpy as np
import pytest

from birads_app.inference.engine import open_graph
from training.errors import TrainingError
from training.heads import HEADS, DenseHead, Lesson, head

MAP_SHAPE = (7, 7, 64)


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    """Maps in which one channel a category is raised at one place, so that only the maximum tells well."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 60)
    maps = np.abs(rng.normal(size=(180, *MAP_SHAPE))).astype(np.float32)
    maps[np.arange(180), rng.integers(0, 7, 180), rng.integers(0, 7, 180), labels] += 12
    rows = DenseHead().rows(maps)
    learned = rng.permutation(180)[:120]
    kept = np.setdiff1d(np.arange(180), learned)
    return Lesson(
        rows=rows[learned],
        labels=labels[learned],
        validation_rows=rows[kept],
        validation_labels=labels[kept],
        classes=3,
        seed=0,
        epochs=60,
        patience=20,
        batch_size=32,
        learning_rate=1e-3,
        dropout=0.5,
    )


@pytest.fixture(scope="module", params=sorted(HEADS))
def trained(request, lesson):
    return head(request.param).fit(lesson)


def test_it_learns(trained, lesson) -> None:
    named = trained.logits(lesson.validation_rows).argmax(axis=1)
    assert (named == lesson.validation_labels).mean() > 0.9
    assert trained.facts["best_epoch"] <= trained.facts["epochs"] <= 60


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_its_graph_gives_its_logits(trained, engine, tmp_path) -> None:
    maps = np.abs(np.random.default_rng(1).normal(size=(5, *MAP_SHAPE))).astype(np.float32)
    path = tmp_path / "head.pb"
    path.write_bytes(trained.freeze(MAP_SHAPE))
    served = open_graph(path, engine, "f32")(maps)
    expected = trained.logits(DenseHead().rows(maps))
    assert served.shape == (5, 3)
    assert np.abs(served - expected).max() < 0.02 * (1 + np.abs(expected).max())


def test_the_same_seed_gives_the_same_head(lesson) -> None:
    short = replace(lesson, epochs=3)
    one, two = (DenseHead().fit(short).logits(lesson.validation_rows) for _ in range(2))
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


def test_an_unknown_kind_names_the_kinds() -> None:
    with pytest.raises(TrainingError, match="dense.*'svmm'"):
        head("svmm")
