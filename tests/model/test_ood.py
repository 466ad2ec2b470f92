"""OOD detection: distance, threshold, stored detector, warnings."""

import io
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.imaging import quality
from birads_app.imaging.decode import Mammogram
from birads_app.model import bundles, ood
from birads_app.model.predictor import Predictor
from birads_app.terms.errors import BundleError
from tests.support.interrupted_writes import interrupt_after
from training import heads
from training.data.dataset import Dataset, Example
from training.data.split import Split
from training.evaluation import ood_fit, ood_test_images
from training.evaluation.ood_test_images import ALTERED, DRAWN, drawings
from training.features.extract import Features
from training.phantoms.generate import WHITE, patients
from training.presets import demonstration_data, demonstration_ood

RANDOM = np.random.default_rng(1)
SCALE = np.geomspace(0.2, 5, 40)
TRAINING = RANDOM.gamma(4, SCALE, (60, 40)).astype(np.float32)
HELD_OUT = RANDOM.gamma(4, SCALE, (120, 40)).astype(np.float32)
STRANGE = RANDOM.gamma(4, SCALE[::-1], (20, 40)).astype(np.float32)


@pytest.fixture(scope="module")
def detector() -> ood.OodDetector:
    return ood.fit(TRAINING, HELD_OUT)


def unit(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def as_mammogram(pixels: np.ndarray) -> Mammogram:
    return Mammogram(pixels, "PNG", 16, None, None, None, 0.0, ())


def phantom(seed: int) -> Mammogram:
    _, image = next(patients(1, seed))
    return as_mammogram((image.pixels.astype(np.uint32) * 65535 // WHITE).astype(np.uint16))


@pytest.fixture
def bundle(models: Path, tmp_path: Path) -> Path:
    """Copy the demonstration bundle without its OOD detector; large files are linked."""
    path = shutil.copytree(models / "birads-demo", tmp_path / "models" / "old", copy_function=os.link)
    change_manifest(path, lambda manifest: manifest["files"].pop(bundles.OOD_DETECTOR, None))
    change_manifest(path, lambda manifest: manifest["files"].pop(bundles.OOD_CARD, None))
    for file in (bundles.OOD_DETECTOR, bundles.OOD_CARD):
        (path / file).unlink(missing_ok=True)
    return path


def change_manifest(path: Path, change) -> None:
    """Edit the manifest, but not the one that it is linked to."""
    file = path / bundles.MANIFEST
    manifest = json.loads(file.read_text())
    change(manifest)
    file.unlink()
    file.write_text(json.dumps(manifest))


def test_the_distance_is_that_to_the_nearest_stored_training_image(detector) -> None:
    mean = unit(TRAINING).mean(axis=0)
    _, _, axes = np.linalg.svd(unit(TRAINING) - mean, full_matrices=False)
    short = mean + (unit(TRAINING) - mean) @ axes[:32].T @ axes[:32]
    plain = np.linalg.norm(unit(STRANGE)[:, None] - short[None], axis=2).min(axis=1)
    np.testing.assert_allclose(detector.distances(STRANGE), plain, rtol=2e-3)
    np.testing.assert_allclose(detector.distances(7 * STRANGE), plain, rtol=2e-3)  # brightness does not count


def test_the_threshold_comes_from_validation_images(detector) -> None:
    np.testing.assert_allclose(detector.tried, np.sort(detector.distances(HELD_OUT)), rtol=1e-6)
    assert detector.is_ood(HELD_OUT).mean() <= 0.01
    assert detector.is_ood(STRANGE).all() and not detector.is_ood(TRAINING).any()
    assert (
        detector.distances(TRAINING).mean() < detector.tried[0]
    )  # a threshold of their own would be far too low
    between = np.sort(detector.exceeded(HELD_OUT))
    assert between[0] == 0 and between[-1] == 1 - 1 / len(HELD_OUT)


def test_a_saved_detector_gives_the_same_distances(detector) -> None:
    again = ood.read(detector.to_bytes())
    np.testing.assert_array_equal(again.distances(STRANGE), detector.distances(STRANGE))
    np.testing.assert_array_equal(again.tried, detector.tried)


@pytest.mark.parametrize("name", ["mean", "axes", "known", "tried"])
@pytest.mark.parametrize("change", ["missing", "cut", "pickled"])
def test_a_file_of_another_kind_is_refused(detector, name: str, change: str) -> None:
    arrays = {key: getattr(detector, key) for key in ("mean", "axes", "tried")} | {
        "known": detector.training_points
    }
    whole = arrays.pop(name)
    if change == "cut":
        arrays[name] = whole[..., :0]
    if change == "pickled":
        arrays[name] = np.array([{}], object)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    with pytest.raises(ValueError, match="arrays"):
        ood.read(stream.getvalue())
    with pytest.raises(ValueError, match="arrays"):
        ood.read(detector.to_bytes()[:-30])


@pytest.mark.parametrize("kind", heads.HEADS)
def test_synthetic_rows_are_not_reference_images_with_any_head(kind: str) -> None:
    maps = RANDOM.gamma(2, 1, (30, 2, 2, 8)).astype(np.float16).astype(np.float32)
    head = heads.head(kind)
    examples = tuple(Example(Path(f"{n}.png"), "1", str(n), True) for n in range(30))
    features = Features(
        Dataset(examples), head.features(maps), (2, 2, 8), (), 0, averages=maps.mean(axis=(1, 2))
    )
    # Rows from 30 on are synthetic.
    split = Split(np.r_[0:20, 30:50], np.r_[20:25, 50:55], np.arange(25, 30), ())
    found = ood_fit.fit(features, split)
    assert (found.training_images, found.validation_images, found.test_images) == (20, 5, 5)
    expected = ood.fit(maps[:20].mean(axis=(1, 2)), maps[20:25].mean(axis=(1, 2)))
    np.testing.assert_allclose(found.detector.tried, expected.tried, rtol=1e-2)


def test_a_bundle_without_a_detector_predicts_without_warning(bundle: Path) -> None:
    loaded = bundles.load(bundle)
    assert loaded.ood_detector is None and "unlike" not in loaded.card
    (head,) = drawings(DRAWN["drawn heads"], 1, 0)
    assert ood.WARNING not in Predictor.load(loaded).predict(as_mammogram(head)).warnings


def test_the_demonstration_model_flags_other_body_parts_but_not_its_training_images(models: Path) -> None:
    predictor = Predictor.load(bundles.load(models / "birads-demo"))
    for draw in DRAWN.values():
        (picture,) = drawings(draw, 1, 0)
        assert ood.WARNING in predictor.predict(as_mammogram(picture)).warnings
    learned = phantom(predictor.bundle.manifest["training"]["phantom_seed"])
    assert ood.WARNING not in predictor.predict(learned).warnings


def test_ood_test_images_pass_the_quality_check() -> None:
    for draw in DRAWN.values():
        one, two = drawings(draw, 2, 0)
        quality.check(as_mammogram(one))
        assert not np.array_equal(one, two)
    pixels = phantom(3).pixels
    assert ALTERED.keys() and all(alter(pixels).dtype == np.uint16 for alter in ALTERED.values())
    np.testing.assert_array_equal(ood_test_images.upside_down(ood_test_images.upside_down(pixels)), pixels)


def test_an_interrupted_addition_leaves_a_valid_bundle(bundle: Path, detector, monkeypatch) -> None:
    bundles.add_ood_detector(bundle, detector, "## first\n", {})
    assert bundles.load(bundle).card.endswith("\n## first\n")
    allow = interrupt_after(monkeypatch)
    for writes in range(4):
        allow(4)
        bundles.add_ood_detector(bundle, detector, "## again\n", {})
        allow(writes)
        with pytest.raises(KeyboardInterrupt):
            bundles.add_ood_detector(bundle, detector, f"## {writes}\n", {})
        bundles.load(bundle)
    allow(4)
    bundles.add_ood_detector(bundle, detector, "## last\n", {"known": 60})
    assert bundles.load(bundle).card.endswith("\n## last\n")
    assert bundles.load(bundle).manifest["ood"] == {"known": 60}
    for file in (bundles.OOD_DETECTOR, bundles.OOD_CARD):
        data = (bundle / file).read_bytes()
        (bundle / file).write_bytes(data + b" ")
        with pytest.raises(BundleError, match=f"{file} of model old was changed"):
            bundles.load(bundle)
        (bundle / file).write_bytes(data)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write phantoms into folders named like the public sets."""
    folders = {
        "cdd-cesm-low-energy": [f"Birads{code}" for code in "12345"],
        "ddsm-thumbnails": ["normal", "benign", "cancer"],
        "kau-bcmd-sample": ["Birads1", "Birads3"],
    }
    images = [phantom(seed).pixels >> 8 for seed in range(4)]
    for number, (source, labels) in enumerate(folders.items()):
        for label in labels:
            (tmp_path / "data" / source / label).mkdir(parents=True)
            for patient in range(4):
                name = f"P_{label[-1]}{number}{patient:03d}_LEFT_CC.png"
                picture = np.roll(images[patient], 3 * len(label) + number, axis=0)
                cv2.imwrite(str(tmp_path / "data" / source / label / name), picture.astype(np.uint8))
    return tmp_path / "data"


@pytest.mark.slow
def test_the_command_fits_the_detector_on_the_training_images(
    app: Flask, runner: FlaskCliRunner, folder: Path, data: Path, monkeypatch
) -> None:
    monkeypatch.setattr(demonstration_ood, "_PATIENTS", 1)
    monkeypatch.setattr(demonstration_ood, "_DRAWINGS", 2)
    path, command = folder / "birads-demo", ["models", "fit-ood", "birads-demo", "--data", str(data)]
    refused = runner.invoke(args=command)
    assert refused.exit_code == 1 and "was trained with other images: CDD-CESM had" in refused.output
    hyperparameters = bundles.load(path).manifest["training"]
    sets = demonstration_data.read(
        data,
        32,
        validation=hyperparameters["validation"],
        test=hyperparameters["test"],
        seed=hyperparameters["seed"],
    )
    images = {
        name: [len(split.training), len(split.validation), len(split.test)]
        for name, split in sets.splits.items()
    }
    change_manifest(path, lambda manifest: manifest["training"].update(images=images, phantom_patients=1))
    result = runner.invoke(args=command)
    assert result.exit_code == 0, result.output
    bundle = bundles.load(path)
    training = sum(counts[0] for counts in images.values()) + 4
    validation = sum(counts[1] for counts in images.values())
    assert bundle.ood_detector is not None
    assert (len(bundle.ood_detector.training_points), len(bundle.ood_detector.tried)) == (
        training,
        validation,
    )
    assert "## Out-of-distribution images" in bundle.card and "| drawn heads | 2 | 2 (100 %)" in bundle.card
    change_manifest(path, lambda manifest: manifest["training"].pop("phantom_seed"))
    assert "was not trained with the demonstration preset" in runner.invoke(args=command).output


def test_the_documented_table_equals_that_of_the_model_card(models: Path) -> None:
    card = bundles.load(models / "birads-demo").card
    table = [line for line in card.splitlines() if line.startswith(("| negatives |", "| KAU-BCMD, not used"))]
    document = (models.parent / "docs" / "evaluation.md").read_text("utf-8")
    assert len(table) == 2 and all(line in document for line in table)


def test_a_bundle_with_former_file_names_is_read(models: Path, tmp_path: Path) -> None:
    path = shutil.copytree(models / "birads-demo", tmp_path / "former", copy_function=os.link)
    for present, former in ((bundles.OOD_DETECTOR, "familiarity.npz"), (bundles.OOD_CARD, "familiarity.md")):
        (path / present).rename(path / former)
        change_manifest(
            path,
            lambda manifest, a=present, b=former: manifest["files"].update({b: manifest["files"].pop(a)}),
        )
    former, present = bundles.load(path), bundles.load(models / "birads-demo")
    assert former.card == present.card and former.ood_detector is not None
    assert present.ood_detector is not None
    np.testing.assert_array_equal(former.ood_detector.tried, present.ood_detector.tried)
