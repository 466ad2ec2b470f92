"""Figures that cannot be trusted: the report says why, and the model is promoted only with a typed reason."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.model import bundles, registry
from birads_app.model.training_digests import NOTHING, TrainingDigests, content_digest
from tests.support.copies import CHANGES
from training.config import TrainConfig
from training.data import contamination, perceptual_hash, protocol
from training.data.contamination import ContaminationState
from training.data.dataset import listing
from training.data.loader import LoadedDataset, load_dataset


@pytest.fixture(scope="module")
def loaded(phantoms: Path, cache: Path) -> LoadedDataset:
    return load_dataset(listing(phantoms), cache)


def digests_of(loaded: LoadedDataset, patients: set[str]) -> TrainingDigests:
    """Digests of the images of some patients, as a bundle has them."""
    images = [one for one in loaded.images if one.example.patient in patients]
    return NOTHING.with_more(
        [content_digest(one.digest) for one in images],
        [one.image_hash for one in images],
        [one.encode()[-16:].rjust(16) for one in patients],
        perceptual_hash.VERSION,
    )


def find(loaded: LoadedDataset, known: TrainingDigests | None, **more: object) -> contamination.SeenImages:
    return contamination.find(known, "the model m", loaded.images, loaded.prepared, **more)


def patients_of(loaded: LoadedDataset, seen: np.ndarray) -> set[str]:
    return {one.example.patient for one, found in zip(loaded.images, seen, strict=True) if found}


def test_training_images_are_found_by_content_hash_or_patient(loaded: LoadedDataset) -> None:
    known = digests_of(loaded, {"PH0001", "PH0004"})
    for only in (
        replace(known, hashes=frozenset(), patients=frozenset()),
        replace(known, contents=frozenset(list(known.contents)[:1]), hashes=known.hashes),
    ):
        assert patients_of(loaded, find(loaded, only).seen) == {"PH0001", "PH0004"}
    patients = replace(known, contents=frozenset(), hashes=frozenset())
    assert not find(loaded, patients).seen.any()  # another site, which lacks the key
    by_id = find(loaded, patients, patient_digest=lambda one: f"PH{one[2:]:>04}".encode().rjust(16))
    assert patients_of(loaded, by_id.seen) == {"PH0001", "PH0004"}


def test_a_model_without_digests_is_unknown_and_one_of_other_images_clean(loaded: LoadedDataset) -> None:
    patients = [one.example.patient for one in loaded.images]
    unknown = contamination.measure(find(loaded, None), patients, 0)
    assert (
        unknown.state is ContaminationState.UNKNOWN
        and "Contamination: unknown." in unknown.note
        and not unknown.warning
    )
    clean = contamination.measure(find(loaded, NOTHING), patients, 0)
    assert clean.state is ContaminationState.CLEAN and not clean.note
    assert find(loaded, TrainingDigests(complete=False)).state(0) is ContaminationState.UNKNOWN


@pytest.mark.parametrize("folds", [0, 3])
@pytest.mark.parametrize("split", protocol.SPLITS)
def test_training_images_are_kept_out_of_test_and_validation_sets(folds: int, split: str) -> None:
    patients = [f"P{n // 3}" for n in range(180)]
    labels, rows = np.arange(180) % 3, np.zeros((180, 2), np.float32)
    seen = np.arange(180) < 90
    config = TrainConfig(data="d", name="m", folds=folds, split=split)
    found = protocol.apply(config, rows, labels, patients, "134", seen)
    for parts in (*found.splits, found.final):
        assert not seen[parts.test].any() and not seen[parts.validation].any()
        every = np.concatenate([parts.training, parts.validation, parts.test])
        assert sorted(every) == list(range(180))
    if not folds:
        assert len(found.final.test) == pytest.approx(36, abs=3)
    all_seen = protocol.apply(config, rows, labels, patients, "134", np.ones(180, bool))
    assert len(all_seen.splits[0].test) and seen[np.concatenate([one.test for one in all_seen.splits])].any()


@dataclass(frozen=True)
class Trainer:
    """Run trainings and promotions in the application's folder of models."""

    runner: FlaskCliRunner
    folder: Path

    def train(self, data: Path, name: str, *options: str) -> tuple[str, dict]:
        arguments = ("--data", str(data), "--name", name, "--head", "knn", "--no-report-images", *options)
        result = self.runner.invoke(args=["train", "--no-sanity-checks", *arguments])
        assert result.exit_code == 0, result.output
        return result.output, json.loads((self.folder / name / "evaluation.json").read_text("utf-8"))

    def refusal(self, name: str) -> str:
        """Return the message with which the promotion is refused, after checking that a typed reason helps."""
        before = registry.current_name(self.folder)
        result = self.runner.invoke(args=["models", "promote", name])
        assert result.exit_code == 1 and registry.current_name(self.folder) == before
        blank = self.runner.invoke(args=["models", "promote", name, "--reason", "  "])
        assert blank.exit_code == 1 and registry.current_name(self.folder) == before
        done = self.runner.invoke(args=["models", "promote", name, "--reason", "to see  the steps"])
        assert done.exit_code == 0 and registry.current_name(self.folder) == name
        card = registry.card(self.folder, name)
        assert "despite its cautions" in card and "Reason given: to see the steps" in card
        return result.output


@pytest.fixture
def trainer(app: Flask, runner: FlaskCliRunner, folder: Path, cache: Path) -> Iterator[Trainer]:
    instance = Path(app.extensions["birads_settings"].instance)
    instance.mkdir(parents=True, exist_ok=True)
    (instance / "cache").symlink_to(cache)
    yield Trainer(runner, folder)


def with_digests(folder: Path, known: TrainingDigests) -> None:
    """Give the backbone's bundle a record of what it was trained on."""
    bundle = bundles.load(folder / "birads-demo")
    manifest = {
        key: value for key, value in bundle.manifest.items() if key not in ("files", "schema", "name")
    }
    graphs = {name: (bundle.path / f"{name}.pb").read_bytes() for name in ("backbone", "head")}
    evaluation = json.loads((bundle.path / "evaluation.json").read_text())
    shutil.rmtree(bundle.path)
    bundles.write(
        folder, bundle.name, manifest=manifest, card="c", evaluation=evaluation, trained_on=known, **graphs
    )


@pytest.mark.slow
def test_a_contaminated_model_says_so_and_is_refused(trainer: Trainer, phantoms, loaded) -> None:
    with_digests(trainer.folder, digests_of(loaded, {one.example.patient for one in loaded.images}))
    output, record = trainer.train(phantoms, "mine")
    text = (
        f"CONTAMINATED: the test set has {record['images']} images of patients that the backbone of the model"
    )
    assert record["warnings"][0].startswith(text) and record["contamination"]["state"] == "contaminated"
    page = (trainer.folder / "mine" / "report.html").read_text("utf-8")
    assert text in output and text in bundles.load(trainer.folder / "mine").card
    assert page.index(text) < page.index("<h2>")
    assert (
        "Contaminated: its test images are of patients whom its backbone was trained on."
        in trainer.refusal("mine")
    )


@pytest.mark.slow
def test_training_patients_are_left_out_of_the_test_and_handed_on(trainer: Trainer, phantoms, loaded) -> None:
    seen = {f"PH{number:04d}" for number in range(1, 5)}
    with_digests(trainer.folder, digests_of(loaded, seen))
    output, record = trainer.train(phantoms, "mine")
    assert record["contamination"] | {"model": ""} == {
        "state": "left out", "model": "", "images": 16, "patients": 4, "in_test": 0,
    }  # fmt: skip
    assert "16 images of 4 patients that the backbone of the model birads-demo was trained on" in output
    known = bundles.load(trainer.folder / "mine").trained_on
    assert known is not None and known.complete
    tested = len(loaded.images) - record["images"]
    assert len(known.contents) == len(known.hashes) == tested
    again = contamination.find(known, "mine", loaded.images, loaded.prepared)
    assert again.seen.sum() == tested
    result = trainer.runner.invoke(args=["evaluate", "--model", "mine", "--data", str(phantoms)])
    assert (
        result.exit_code == 0
        and f"{record['images']} images of {record['patients']} patients" in result.output
    )
    training = trainer.folder.parent / "seen"
    for one in loaded.images:
        if one.example.patient in seen:
            (training / one.example.path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(one.example.path, training / one.example.path.parent.name)
    result = trainer.runner.invoke(args=["evaluate", "--model", "mine", "--data", str(training)])
    assert result.exit_code == 0 and "CONTAMINATED: the test set has 16 images" in result.output


@pytest.mark.slow
def test_copies_under_two_patients_are_one_patient_and_refused(trainer: Trainer, copies: Path) -> None:
    paths = sorted(copies.glob("*/PH*"), key=lambda path: path.name)
    for number, change in enumerate(CHANGES.values()):
        picture = cv2.imread(str(paths[4 * number]), cv2.IMREAD_GRAYSCALE)
        target = paths[4 * number].with_name(f"PH9{number:03d}_L_CC.png")
        cv2.imwrite(str(target), change(picture))
    _, record = trainer.train(copies, "mine")
    pairs = {tuple(sorted(pair["patients"])) for pair in record["dataset_report"]["near"]}
    assert pairs == {(f"PH{number + 1:04d}", f"PH9{number:03d}") for number in range(5)}
    assert record["all_patients"] == 10 and record["leaks"] is False
    assert any(
        "copies of one image belong to different patients (5 groups)." in one for one in record["warnings"]
    )
    assert "Copies of one image belong to different patients in its data." in trainer.refusal("mine")
    _, record = trainer.train(copies, "by-image", "--split", "image")
    assert record["leaks"] is True


@pytest.mark.slow
def test_unknown_patients_and_tiny_classes_are_refused(trainer: Trainer, copies: Path) -> None:
    (copies / "truth.csv").unlink()
    for number, path in enumerate(sorted(copies.glob("*/*.png"))):
        path.rename(path.with_name(f"scan{number}.png"))
    output, record = trainer.train(copies, "mine")
    assert {alarm["kind"] for alarm in record["alarms"]} == {"unknown-patients", "few-test-images"}
    assert "WARNING: the patients of 40 of 40 images are unknown" in output
    assert "WARNING: the test set has " in output and "of category 1" in output
    refusal = trainer.refusal("mine")
    assert "The patients of some of its images are unknown." in refusal
    assert "Its test set has too few images of a category." in refusal
