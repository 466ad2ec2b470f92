"""Protocols: splits, leaks, promotion."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.nearest_neighbor_head import NearestNeighborHead
from training.config import TrainConfig
from training.data import protocol
from training.data.dataset import Dataset, Example
from training.data.split import folds
from training.errors import DatasetError, TrainingError
from training.evaluation.evaluate import evaluate
from training.features.extract import Features
from training.pipeline.measure import measure

CONFIG = TrainConfig(data="data", name="m", replicates=50)


def nothing_to_learn(patients: int = 60, each: int = 3, width: int = 24) -> Features:
    """Draw random rows that are similar within a patient and unrelated to the category."""
    rng = np.random.default_rng(1)
    own = np.repeat(rng.normal(size=(patients, width)), each, axis=0)
    rows = (own + 0.3 * rng.normal(size=own.shape)).astype(np.float32)
    codes = rng.choice(list("134"), len(rows), p=[0.6, 0.25, 0.15])
    examples = (
        Example(Path(f"{n}.png"), str(code), f"P{n // each}", known=True) for n, code in enumerate(codes)
    )
    return Features(Dataset(tuple(examples)), rows, (1, 1, width), (), 0)


def apply(features: Features, **changes: object) -> tuple[protocol.SplitDataset, protocol.Leak]:
    config = replace(CONFIG, **changes)
    usable = features.dataset
    found = protocol.apply(config, features.array, usable.labels, usable.patients, usable.classes)
    return found, protocol.measure_leak(protocol.from_config(config), found, unknown=False)


@pytest.mark.parametrize("resampling", ["none", "smote-train"])
@pytest.mark.parametrize("count", [0, 4])
def test_a_split_by_patient_does_not_leak(resampling: str, count: int) -> None:
    _, leak = apply(nothing_to_learn(), resampling=resampling, folds=count)
    assert leak.leaks is False and not leak.message and leak.patients == leak.synthetic == 0


@pytest.mark.parametrize("count", [0, 4])
def test_a_split_by_image_leaks_if_patients_have_several_images(count: int) -> None:
    _, leak = apply(nothing_to_learn(), split="image", folds=count)
    assert leak.leaks is True and leak.patients > 10 and not leak.synthetic
    assert "test patients also have images in the training set" in leak.message
    assert apply(nothing_to_learn(patients=180, each=1), split="image", folds=count)[1].leaks is False


@pytest.mark.parametrize("split", protocol.SPLITS)
def test_resampling_before_the_split_leaks(split: str) -> None:
    features = nothing_to_learn()
    found, leak = apply(features, resampling="smote-all", split=split)
    assert leak.leaks is True and leak.synthetic > 10 and "before the split" in leak.message
    assert len(np.unique(np.bincount(found.labels))) == 1 and len(found.features) > found.real == 180
    assert np.array_equal(found.features[:180], features.array)
    assert set(found.patients) == set(features.dataset.patients)
    every = np.concatenate([found.final.training, found.final.validation, found.final.test])
    assert sorted(every) == list(range(len(found.features)))


@pytest.mark.parametrize("split", protocol.SPLITS)
@pytest.mark.parametrize("count", [0, 3])
def test_resampling_before_the_validation_set_is_split_off_leaks_into_it_alone(
    split: str, count: int
) -> None:
    features = nothing_to_learn()
    found, leak = apply(features, resampling="smote-development", split=split, folds=count)
    assert leak.leaks is True and not leak.synthetic and (leak.patients > 10) is (split == "image")
    assert "before the validation set was split off" in leak.message
    assert ("The figures are too good." in leak.message) is (split == "image")
    plain, _ = apply(features, resampling="none", split=split, folds=count)
    own: set[int] = set()
    every = [(*one.splits, one.final) if count else one.splits for one in (found, plain)]
    for parts, whole in zip(*every, strict=True):
        assert np.array_equal(parts.test, whole.test)  # as without resampling: real images only
        development = np.concatenate([parts.training, parts.validation])
        real, synthetic = development[development < found.real], development[development >= found.real]
        assert sorted(real) == sorted(np.concatenate([whole.training, whole.validation]))
        assert len(set(np.bincount(found.labels[development]))) == 1  # both sets together are balanced
        assert set(parts.validation) & set(synthetic) and set(parts.training) & set(synthetic)
        assert 0.1 < len(parts.validation) / len(development) < 0.3
        assert not own & set(synthetic)
        own |= set(synthetic)
        if split == "patient":
            assert not set(found.patients[parts.training]) & set(found.patients[parts.validation])
    assert own == set(range(found.real, len(found.features)))


def test_with_unknown_patients_a_leak_is_not_excluded() -> None:
    features = nothing_to_learn()
    _, leak = apply(features)
    assert replace(leak, unknown=True).leaks is None
    assert replace(leak, unknown=True, patients=1).leaks is True


def test_folds_contain_every_image_once_and_share_no_patient() -> None:
    features = nothing_to_learn()
    patients = np.array(features.dataset.patients)
    splits = folds(patients, features.dataset.labels, 5, 0.15, seed=0)
    assert sorted(np.concatenate([parts.test for parts in splits])) == list(range(180))
    for parts in splits:
        sides = [set(patients[part]) for part in (parts.training, parts.validation, parts.test)]
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
        assert 0.1 < len(parts.validation) / 180 < 0.25
    with pytest.raises(DatasetError, match="60 patients, too few for 61 parts"):
        folds(patients, features.dataset.labels, 61, 0.15, seed=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"resampling": "smote"}, "--resampling"), ({"split": "exam"}, "--split"), ({"folds": 1}, "--folds")],
)
def test_an_unknown_value_is_refused_by_name(changes: dict, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        protocol.from_config(replace(CONFIG, **changes))


def test_only_the_leak_free_protocol_may_be_promoted() -> None:
    may = {
        (resampling, split)
        for resampling in protocol.RESAMPLINGS
        for split in protocol.SPLITS
        if protocol.from_config(replace(CONFIG, resampling=resampling, split=split)).may_serve
    }
    assert may == {("smote-train", "patient")}
    assert str(protocol.from_config(CONFIG)) == "smote-train, split by patient, holdout 80:20"
    assert (
        str(protocol.from_config(replace(CONFIG, folds=5)))
        == "smote-train, split by patient, cross-validation 5"
    )


def test_a_leaking_protocol_scores_high_on_permuted_labels() -> None:
    """With random labels the leak-free figure is at chance, and that of the paper's module 1 far above."""
    features = nothing_to_learn()
    f1 = {}
    for resampling, split in (("smote-all", "image"), ("smote-train", "patient")):
        config = replace(CONFIG, resampling=resampling, split=split, folds=3)
        found_by = measure(config, NearestNeighborHead(), features)
        answers, leak = found_by.predictions, found_by.leak
        found = evaluate(
            answers.raw,
            answers.calibrated,
            answers.labels,
            answers.patients,
            features.dataset.classes,
            replicates=200,
        )
        assert leak.leaks is (split == "image")
        f1[split] = found.figures["f1"]
    assert f1["patient"].value < 0.42
    assert f1["image"].low > f1["patient"].high and f1["image"].value > f1["patient"].value + 0.2
