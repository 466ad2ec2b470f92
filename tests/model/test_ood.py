"""OOD detection: distance, threshold, stored detector, warnings."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from birads_app.imaging import quality
from birads_app.imaging.decode import Mammogram
from birads_app.model import bundles, ood
from birads_app.model.predictor import Predictor
from birads_app.terms.errors import BundleError
from tests.support import ood_images
from tests.support.ood_images import ALTERED, DRAWN, drawings
from training import heads
from training.data.dataset import Dataset, Example
from training.data.split import Split
from training.evaluation import ood_fit
from training.features.extract import Features
from training.phantoms.generate import WHITE, patients
from training.presets import public_sets

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
    learned = phantom(public_sets.PHANTOM_SEED)
    assert ood.WARNING not in predictor.predict(learned).warnings


def test_ood_test_images_pass_the_quality_check() -> None:
    for draw in DRAWN.values():
        one, two = drawings(draw, 2, 0)
        quality.check(as_mammogram(one))
        assert not np.array_equal(one, two)
    pixels = phantom(3).pixels
    assert ALTERED.keys() and all(alter(pixels).dtype == np.uint16 for alter in ALTERED.values())
    np.testing.assert_array_equal(ood_images.upside_down(ood_images.upside_down(pixels)), pixels)


def test_a_changed_detector_is_refused(models: Path, tmp_path: Path) -> None:
    path = shutil.copytree(models / "birads-demo", tmp_path / "old")
    (path / bundles.OOD_DETECTOR).write_bytes((path / bundles.OOD_DETECTOR).read_bytes() + b" ")
    with pytest.raises(BundleError, match=f"{bundles.OOD_DETECTOR} of model old was changed"):
        bundles.load(path)


@pytest.mark.slow
def test_the_demonstration_model_flags_negatives_and_drawings(models: Path) -> None:
    predictor = Predictor.load(bundles.load(models / "birads-demo"))
    images = [phantom(seed).pixels for seed in range(6)]
    flagged = {
        title: [ood.WARNING in predictor.predict(as_mammogram(one)).warnings for one in made]
        for title, made in (
            ("negatives", [ALTERED["negatives"](one) for one in images]),
            *((title, drawings(draw, 6, 1)) for title, draw in DRAWN.items()),
        )
    }
    assert all(np.mean(found) == 1 for found in flagged.values()), flagged


def test_a_bundle_with_former_file_names_is_read(models: Path, tmp_path: Path) -> None:
    path = shutil.copytree(models / "birads-demo", tmp_path / "former", copy_function=os.link)
    (path / bundles.OOD_DETECTOR).rename(path / "familiarity.npz")
    (path / "familiarity.md").write_text("## Detector\n")
    section = bundles._entry((path / "familiarity.md").read_bytes())

    def rename(manifest) -> None:
        files = manifest["files"]
        files.update({"familiarity.npz": files.pop(bundles.OOD_DETECTOR), "familiarity.md": section})

    change_manifest(path, rename)
    former, present = bundles.load(path), bundles.load(models / "birads-demo")
    assert former.card == f"{present.card.rstrip()}\n\n## Detector\n" and former.ood_detector is not None
    assert present.ood_detector is not None
    np.testing.assert_array_equal(former.ood_detector.tried, present.ood_detector.tried)
