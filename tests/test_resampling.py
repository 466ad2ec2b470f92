"""SMOTE makes rows between real ones, for the training part and nothing else."""

import numpy as np
import pytest

from training import recipe
from training.config import TrainConfig
from training.dataset import Dataset, Example
from training.errors import DatasetError
from training.features import Features
from training.heads import Lesson
from training.resampling import balance

CLASSES = ("1", "3")


def uneven(counts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    return rng.normal(size=(len(labels), 6)).astype(np.float32), labels


def test_it_works() -> None:
    rows, labels = uneven((40, 12))
    more, more_labels, notes = balance(rows, labels, CLASSES, neighbours=5, seed=0)
    assert np.bincount(more_labels).tolist() == [40, 40]
    assert (more[: len(rows)] == rows).all() and more.dtype == np.float32
    assert notes == ()


def test_synthetic_rows_lie_between_rows_of_their_category() -> None:
    rows, labels = uneven((40, 12))
    more, _, _ = balance(rows, labels, CLASSES, neighbours=5, seed=0)
    real = rows[labels == 1]
    assert (more[52:] >= real.min(axis=0) - 1e-6).all() and (more[52:] <= real.max(axis=0) + 1e-6).all()


def test_rows_in_half_precision_stay_in_it() -> None:
    rows, labels = uneven((40, 12))
    more, _, _ = balance(rows.astype(np.float16), labels, CLASSES, neighbours=5, seed=0)
    assert more.dtype == np.float16 and more.shape == (80, 6)
    assert (more[:52] == rows.astype(np.float16)).all() and np.isfinite(more).all()


def test_balanced_rows_stay_as_they_are() -> None:
    rows, labels = uneven((5, 5))
    assert balance(rows, labels, CLASSES, neighbours=5, seed=0)[0] is rows


def test_few_images_mean_fewer_neighbours_and_a_note() -> None:
    rows, labels = uneven((20, 3))
    _, more_labels, (note,) = balance(rows, labels, CLASSES, neighbours=5, seed=0)
    assert np.bincount(more_labels).tolist() == [20, 20]
    assert "Category 3 has only 3" in note and "2 neighbours" in note


@pytest.mark.parametrize("count", [0, 1])
def test_a_category_without_neighbours_is_refused(count: int) -> None:
    rows, labels = uneven((20, count))
    with pytest.raises(DatasetError, match=f"Category 3 has {count} training image"):
        balance(rows, labels, CLASSES, neighbours=5, seed=0)


class Recorder:
    """A head that keeps the lesson it was given."""

    def __init__(self) -> None:
        self.lessons: list[Lesson] = []

    def rows(self, maps: np.ndarray) -> np.ndarray:
        return maps

    def fit(self, lesson: Lesson) -> "Recorder":
        self.lessons.append(lesson)
        return self


def test_validation_and_test_never_meet_smote(tmp_path) -> None:
    """Each row carries its own number, so what the head is given can be traced back to images."""
    count = 120
    examples = tuple(
        Example(tmp_path / f"{n}.png", "1" if n % 5 else "4", f"P{n // 3}", known=True) for n in range(count)
    )
    numbers = np.arange(count, dtype=np.float32)[:, None]
    features = Features(Dataset(examples), numbers, (1, 1, 1), (), 0)
    config = TrainConfig(data=str(tmp_path), name="m")
    material = recipe._material(config, features)
    head = Recorder()
    recipe._fit(config, head, material)
    (lesson,) = head.lessons
    parts = material.split
    assert lesson.validation_rows[:, 0].tolist() == parts.validation.tolist()
    real = lesson.rows[: len(parts.training), 0]
    assert real.tolist() == parts.training.tolist()
    rare = [n for n in parts.training if n % 5 == 0]
    synthetic = lesson.rows[len(parts.training) :, 0]
    assert len(synthetic) == len(parts.training) - 2 * len(rare)
    assert min(rare) <= synthetic.min() and synthetic.max() <= max(rare)
    patients = {examples[n].patient for n in parts.training}
    assert not patients & {examples[n].patient for n in [*parts.validation, *parts.test]}


def test_smote_can_be_switched_off(tmp_path) -> None:
    examples = tuple(Example(tmp_path / str(n), "1" if n % 5 else "4", str(n), known=True) for n in range(50))
    features = Features(Dataset(examples), np.zeros((50, 2), np.float32), (1, 1, 1), (), 0)
    config = TrainConfig(data=str(tmp_path), name="m", resampling="none")
    head = Recorder()
    material = recipe._material(config, features)
    recipe._fit(config, head, material)
    assert len(head.lessons[0].rows) == len(material.split.training)
