"""SMOTE interpolates between real rows, in the training set only."""

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE

from training.config import TrainConfig
from training.data import smote
from training.data.dataset import Dataset, Example
from training.data.smote import balance, patients_of
from training.errors import DatasetError
from training.features.extract import Features
from training.heads import FitArguments
from training.pipeline import split_data
from training.pipeline.head_fit import fit_head

CLASSES = ("1", "3")


def uneven(counts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    return rng.normal(size=(len(labels), 6)).astype(np.float32), labels


def test_the_smaller_category_is_oversampled() -> None:
    rows, labels = uneven((40, 12))
    found = balance(rows, labels, CLASSES, neighbours=5, seed=0)
    assert np.bincount(found.labels).tolist() == [40, 40]
    assert (found.features[: len(rows)] == rows).all() and found.features.dtype == np.float32
    assert found.notes == ()


def test_rows_equal_those_of_imbalanced_learn() -> None:
    rows, labels = uneven((40, 12, 25))
    found = balance(rows, labels, ("1", "3", "5"), neighbours=5, seed=3)
    expected, expected_labels = SMOTE(k_neighbors=5, random_state=3).fit_resample(rows, labels)
    assert (np.asarray(found.features) == expected).all() and (found.labels == expected_labels).all()


def test_a_large_category_is_resampled_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 256 rows rather than 1,024, which takes less time; rows differ in the first number only."""
    monkeypatch.setattr(smote, "_NUMBERS", 256 * 6)
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], (1500, 600))
    rows = np.zeros((2100, 6), np.float16)
    rows[:, 0] = rng.permutation(2100)
    found = balance(rows, labels, CLASSES, neighbours=5, seed=0)
    assert np.bincount(found.labels).tolist() == [1500, 1500] and len(found.features) == 3000
    assert "Categories with more than 256 training images to add to (3)" in found.notes[0]
    assert all(len(block.real) <= 256 and block.stop - block.start <= 256 for block in found.blocks)
    assert sorted(np.unique(np.concatenate([block.real for block in found.blocks]))) == list(
        range(1500, 2100)
    )
    assert [block.start for block in found.blocks] == [2100, *(block.stop for block in found.blocks[:-1])]
    for block in found.blocks:
        real, made = rows[block.real, 0], found.features[block.start : block.stop][:, 0]
        assert real.min() <= made.min() and made.max() <= real.max()
    assert len(np.unique(np.asarray(found.features)[2100:, 0])) > 500
    nearest = patients_of(found, np.arange(2100))
    assert (nearest[:2100] == np.arange(2100)).all() and nearest[2100:].min() >= 1500
    distance = np.abs(np.asarray(found.features)[2100:, 0].astype(float) - rows[nearest[2100:], 0])
    assert distance.max() < 30


def test_synthetic_rows_lie_between_rows_of_their_category() -> None:
    rows, labels = uneven((40, 12))
    more = balance(rows, labels, CLASSES, neighbours=5, seed=0).features
    real = rows[labels == 1]
    assert (more[52:] >= real.min(axis=0) - 1e-6).all() and (more[52:] <= real.max(axis=0) + 1e-6).all()


def test_half_precision_is_kept() -> None:
    rows, labels = uneven((40, 12))
    more = balance(rows.astype(np.float16), labels, CLASSES, neighbours=5, seed=0).features
    assert more.dtype == np.float16 and more.shape == (80, 6)
    assert (more[:52] == rows.astype(np.float16)).all() and np.isfinite(more[:]).all()


def test_balanced_data_is_unchanged() -> None:
    rows, labels = uneven((5, 5))
    assert balance(rows, labels, CLASSES, neighbours=5, seed=0).features is rows


def test_few_images_reduce_the_neighbours_with_a_note() -> None:
    rows, labels = uneven((20, 3))
    found = balance(rows, labels, CLASSES, neighbours=5, seed=0)
    (note,) = found.notes
    assert np.bincount(found.labels).tolist() == [20, 20]
    assert "Category 3 has only 3" in note and "2 neighbours" in note


@pytest.mark.parametrize("count", [0, 1])
def test_a_category_without_neighbours_is_refused(count: int) -> None:
    rows, labels = uneven((20, count))
    with pytest.raises(DatasetError, match=f"Category 3 has {count} training image"):
        balance(rows, labels, CLASSES, neighbours=5, seed=0)


class Recorder:
    """Head that records its arguments."""

    def __init__(self) -> None:
        self.calls: list[FitArguments] = []

    def features(self, maps: np.ndarray) -> np.ndarray:
        return maps

    def fit(self, arguments: FitArguments) -> "Recorder":
        self.calls.append(arguments)
        return self


def test_validation_and_test_sets_are_not_resampled(tmp_path) -> None:
    """Each row contains its number, so that the head's arguments can be traced to images."""
    count = 120
    examples = tuple(
        Example(tmp_path / f"{n}.png", "1" if n % 5 else "4", f"P{n // 3}", known=True) for n in range(count)
    )
    numbers = np.arange(count, dtype=np.float32)[:, None]
    features = Features(Dataset(examples), numbers, (1, 1, 1), (), 0)
    config = TrainConfig(data=str(tmp_path), name="m")
    data = split_data.prepare(config, features)
    head = Recorder()
    fit_head(config, head, data)
    (arguments,) = head.calls
    parts = data.split
    assert arguments.validation_features[:][:, 0].tolist() == parts.validation.tolist()
    real = arguments.features[: len(parts.training)][:, 0]
    assert real.tolist() == parts.training.tolist()
    rare = [n for n in parts.training if n % 5 == 0]
    synthetic = arguments.features[len(parts.training) :][:, 0]
    assert len(synthetic) == len(parts.training) - 2 * len(rare)
    assert min(rare) <= synthetic.min() and synthetic.max() <= max(rare)
    patients = {examples[n].patient for n in parts.training}
    assert not patients & {examples[n].patient for n in [*parts.validation, *parts.test]}


def test_smote_can_be_switched_off(tmp_path) -> None:
    examples = tuple(Example(tmp_path / str(n), "1" if n % 5 else "4", str(n), known=True) for n in range(50))
    features = Features(Dataset(examples), np.zeros((50, 2), np.float32), (1, 1, 1), (), 0)
    config = TrainConfig(data=str(tmp_path), name="m", resampling="none")
    head = Recorder()
    data = split_data.prepare(config, features)
    fit_head(config, head, data)
    assert len(head.calls[0].features) == len(data.split.training)
