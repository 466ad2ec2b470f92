"""Split by patient with stratified categories."""

import numpy as np
import pytest

from training.data.split import Split, by_patient
from training.errors import DatasetError


def cohort(patients: int, shares: list[float], seed: int) -> tuple[list[str], np.ndarray]:
    """Draw one to six images per patient with random categories."""
    rng = np.random.default_rng(seed)
    ids = [f"P{patient}" for patient in range(patients) for _ in range(rng.integers(1, 7))]
    return ids, rng.choice(len(shares), len(ids), p=shares)


def parted(ids: list[str], labels: np.ndarray, seed: int = 0, count: int = 4) -> Split:
    classes = [str(number) for number in range(1, count + 1)]
    return by_patient(ids, labels, classes, validation=0.15, test=0.2, seed=seed)


@pytest.mark.parametrize("seed", range(20))
def test_subsets_share_no_patient_and_contain_every_image(seed: int) -> None:
    ids, labels = cohort(60, [0.6, 0.25, 0.1, 0.05], seed)
    parts = parted(ids, labels, seed)
    indices = [parts.training, parts.validation, parts.test]
    assert sorted(np.concatenate(indices).tolist()) == list(range(len(ids)))
    owners = [{ids[index] for index in part} for part in indices]
    assert not owners[0] & owners[1] and not owners[0] & owners[2] and not owners[1] & owners[2]


@pytest.mark.parametrize("seed", range(5))
def test_categories_are_stratified(seed: int) -> None:
    ids, labels = cohort(300, [0.6, 0.25, 0.1, 0.05], seed)
    parts = parted(ids, labels, seed)
    for part, share in ((parts.training, 0.65), (parts.validation, 0.15), (parts.test, 0.2)):
        got = np.bincount(labels[part], minlength=4) / np.bincount(labels)
        assert np.abs(got - share).max() < 0.06
    assert parts.notes == ()


def test_the_same_seed_gives_the_same_split() -> None:
    ids, labels = cohort(50, [0.5, 0.3, 0.1, 0.1], 1)
    one, two, other = parted(ids, labels, 3), parted(ids, labels, 3), parted(ids, labels, 4)
    assert one.test.tolist() == two.test.tolist() != other.test.tolist()


def test_a_rare_category_goes_to_training_first_then_to_test() -> None:
    ids = [f"P{number}" for number in range(30)]
    labels = np.array([0] * 28 + [1, 1])
    parts = parted(ids, labels, count=2)
    assert (labels[parts.training] == 1).sum() == (labels[parts.test] == 1).sum() == 1
    assert parts.notes == ("Category 2 has too few patients: the validation set has no image of it.",)


@pytest.mark.parametrize("patients", [3, 4, 5])
def test_no_subset_is_empty_with_few_patients(patients: int) -> None:
    ids = [f"P{number}" for number in range(patients)]
    parts = parted(ids * 2, np.array([0] * patients + [1] * patients), count=2)
    assert min(len(parts.training), len(parts.validation), len(parts.test)) >= 2


def test_two_patients_cannot_be_split() -> None:
    with pytest.raises(DatasetError, match="2 patients"):
        parted(["a", "a", "b"], np.array([0, 1, 1]), count=2)
