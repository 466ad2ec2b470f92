"""Sanity checks: metadata baseline and label permutation."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.support.factories import breast
from training.data import file_metadata
from training.data.dataset import Example
from training.data.loader import ImageLoader
from training.data.protocol import SplitDataset
from training.data.split import Split, by_patient
from training.evaluation import sanity_checks


def split_by_patient(
    labels: np.ndarray, patients: np.ndarray, rows: np.ndarray | None = None
) -> SplitDataset:
    """A split by patient without resampling."""
    parts = by_patient(patients, labels, "12", validation=0.2, test=0.3, seed=0)
    rows = np.zeros((len(labels), 1)) if rows is None else rows
    return SplitDataset(rows, labels, patients, len(labels), (parts,), parts, ())


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Callable[[bool], list[Example]]:
    """Write 60 images of 30 patients, optionally with a wider black frame in category 2."""
    folder = tmp_path_factory.mktemp("files")

    def write(telling: bool) -> list[Example]:
        examples = []
        for number in range(60):
            category = "12"[number // 2 % 2]
            picture = (breast(200, 160, seed=number) >> 8).astype(np.uint8)
            framed = np.pad(picture, 40 if telling and category == "2" else 4)
            path = folder / f"{telling}{number}.png"
            cv2.imwrite(str(path), framed)
            examples.append(Example(path, category, f"P{number // 2:02d}", True))
        return examples

    return write


def judged(examples: list[Example], right: float, cache: Path) -> sanity_checks.MetadataBaseline:
    """Run the metadata baseline for a model with this accuracy."""
    labels = np.array(["12".index(example.category) for example in examples])
    dataset = split_by_patient(labels, np.array([example.patient for example in examples]))
    truth = labels[dataset.final.test]
    lucky = np.random.default_rng(0).random(len(truth)) < right
    named = np.where(lucky, truth, 1 - truth)
    images = list(ImageLoader(cache).load(examples))
    return sanity_checks.run_metadata_baseline(images, dataset, named, 2, replicates=500, seed=0)


def test_margins_that_reveal_the_category_cause_a_warning(files, tmp_path) -> None:
    found = judged(files(True), 0.8, tmp_path)
    assert found.figures["f1"].value > 0.95
    assert found.warning.startswith("WARNING: file metadata alone") and found.images == 20
    assert {name for name, _ in found.top_features} <= set(file_metadata.NAMES)


def test_uninformative_metadata_causes_no_warning(files, tmp_path) -> None:
    found = judged(files(False), 1.0, tmp_path)
    assert not found.warning and found.model_lead["f1"].low > 0


def test_a_model_no_better_than_metadata_causes_a_warning(files, tmp_path) -> None:
    assert "not clearly higher" in judged(files(False), 0.5, tmp_path).warning


def test_metadata_is_measured_while_files_are_loaded(files, tmp_path) -> None:
    examples = files(True)
    first, second = (
        file_metadata.as_array([one.metadata for one in ImageLoader(tmp_path).load(examples)])
        for _ in range(2)
    )
    assert np.array_equal(first, second)
    row = dict(zip(file_metadata.NAMES, first[2], strict=True))  # of category 2
    assert (row["image height"], row["image width"], row["bits per pixel"]) == (280, 240, 8)
    assert row["file size"] == examples[2].path.stat().st_size
    assert row["black at the left"] == 1 and row["left margin"] == pytest.approx(40 / 240, abs=0.02)


def blobs(seed: int) -> tuple[np.ndarray, SplitDataset]:
    """Build perfectly separable rows of patients with images of both categories, ordered by category."""
    rng = np.random.default_rng(seed)
    patients = np.repeat([f"P{number:03d}" for number in range(60)], 4)
    labels = np.tile([0, 0, 1, 1], 60)
    rows = rng.normal(size=(240, 5)) + 4 * labels[:, None]
    return labels, split_by_patient(labels, patients, rows)


def answers(dataset: SplitDataset, parts: Split) -> tuple[np.ndarray, np.ndarray]:
    model = LogisticRegression().fit(dataset.features[parts.training], dataset.labels[parts.training])
    return model.predict_proba(dataset.features[parts.test]), dataset.labels[parts.test]


def permuted(dataset: SplitDataset, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fit to as many permutations as a training does."""
    numbers = range(sanity_checks.PERMUTATIONS)
    shuffles = [
        sanity_checks.permute_labels(dataset, dataset.final, 2, 100 * seed + number) for number in numbers
    ]
    return [answers(*shuffled) for shuffled in shuffles]


@pytest.mark.parametrize("seed", range(4))
def test_permuted_labels_give_chance_performance(seed: int) -> None:
    _, dataset = blobs(seed)
    true = answers(*sanity_checks.permute_labels(dataset, dataset.final, 2, seed, keep=True))
    found = sanity_checks.judge_permutations(true, permuted(dataset, seed))
    assert not found.warning and len(found.kappas) == sanity_checks.PERMUTATIONS
    assert found.p_value == 0.05 and found.true_kappa > max(found.kappas)


def test_performance_above_chance_on_permuted_labels_causes_a_warning() -> None:
    _, dataset = blobs(0)
    true = answers(dataset, dataset.final)
    found = sanity_checks.judge_permutations(true, [true] * sanity_checks.PERMUTATIONS)
    assert "WARNING: heads fitted to permuted labels" in found.warning
    assert found.figures["kappa"].value > 0.9 and found.p_value == 1


def test_true_labels_that_do_no_better_than_permuted_ones_cause_a_warning() -> None:
    """The rows say nothing about the category; no single permutation decides."""
    labels, dataset = blobs(0)
    rows = np.random.default_rng(1).normal(size=(len(labels), 5))
    dataset = split_by_patient(labels, dataset.patients, rows)
    true = answers(*sanity_checks.permute_labels(dataset, dataset.final, 2, 0, keep=True))
    found = sanity_checks.judge_permutations(true, permuted(dataset, 0))
    as_good = sum(kappa >= found.true_kappa for kappa in found.kappas)
    assert found.p_value == pytest.approx((1 + as_good) / 20) and found.p_value > 0.05
    assert f"{as_good} of 19 heads" in found.warning and "does not show" not in found.warning


def test_permutation_keeps_label_counts_and_the_test_set() -> None:
    labels, dataset = blobs(0)
    agree = []
    for seed in range(50):
        shuffled, parts = sanity_checks.permute_labels(dataset, dataset.final, 2, seed)
        assert np.array_equal(shuffled.labels[parts.test], labels[parts.test])
        for part in (parts.training, parts.validation):
            assert shuffled.labels[part].sum() == labels[part].sum()
        agree.append((shuffled.labels[parts.training] == labels[parts.training]).mean())
    assert np.mean(agree) == pytest.approx(0.5, abs=0.03)


def test_large_sets_are_subsampled_with_every_category() -> None:
    labels = np.r_[np.zeros(9000, int), np.ones(40, int)]
    patients = np.array([f"P{number // 4:05d}" for number in range(len(labels))])
    dataset = split_by_patient(labels, patients)
    _, parts = sanity_checks.permute_labels(dataset, dataset.final, 2, 0)
    counts = np.bincount(labels[parts.training])
    assert len(parts.training) < 1000 and counts[1] == (labels[dataset.final.training] == 1).sum()
