"""Prediction of images; loading of promoted models."""

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from birads_app.imaging.decode import Mammogram
from birads_app.model import bundles, registry
from birads_app.model.predictor import ModelSource, Predictor
from birads_app.terms.errors import BundleError, NoModel, NotAMammogram
from tests.support.factories import breast
from training.phantoms.generate import WHITE, patients


def mammograms(seed: int = 5) -> list[Mammogram]:
    """The four views of a phantom patient."""
    return [
        Mammogram(
            (image.pixels.astype(np.uint32) * 65535 // WHITE).astype(np.uint16),
            "PNG",
            12,
            image.view,
            image.laterality,
            None,
            0.0,
            (),
        )
        for _, image in patients(1, seed=seed)
    ]


@pytest.fixture(scope="module")
def predictor(_model_source: ModelSource) -> Predictor:
    """Load the demonstration model."""
    return _model_source.get()


@pytest.fixture
def folder(tiny_models: Path, tmp_path: Path) -> Path:
    """Return a folder with two copies of the tiny model, the first in service."""
    tiny = tiny_models / registry.current_name(tiny_models)
    parts = {name: (tiny / name).read_bytes() for name in (bundles.BACKBONE, bundles.HEAD)}
    manifest = bundles.load(tiny).manifest
    for name in ("first", "second"):
        bundles.write(
            tmp_path,
            name,
            manifest=manifest,
            card="",
            backbone=parts[bundles.BACKBONE],
            head=parts[bundles.HEAD],
            evaluation={},
        )
    registry.promote(tmp_path, "first")
    return tmp_path


def test_a_prediction_has_probabilities_a_category_and_heat_maps(predictor: Predictor) -> None:
    prediction, seen = predictor.examine(mammograms()[0])
    maps = predictor.heat_maps(seen)
    assert list(prediction.probabilities) == list(predictor.bundle.classes)
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.category == max(prediction.probabilities, key=prediction.probabilities.__getitem__)
    assert set(maps) == set(predictor.bundle.classes)
    for heat in maps.values():
        assert heat.shape == (7, 7)
        assert heat.min() >= 0
        assert np.isfinite(heat).all()


def test_different_images_get_different_predictions(predictor: Predictor) -> None:
    answers = [tuple(predictor.predict(image).probabilities.values()) for image in mammograms()]
    assert len(set(answers)) == 4


def test_the_same_image_gets_the_same_prediction(predictor: Predictor) -> None:
    image = mammograms()[1]
    first, second = predictor.predict(image), predictor.predict(image)
    assert first.probabilities == second.probabilities


def test_the_share_of_the_breast_is_that_of_the_whole_image(predictor: Predictor) -> None:
    pixels = breast(1200, 900)
    true = float((pixels > 0.05 * 65535).mean())
    air = np.full_like(pixels, 0.01 * 65535)
    for picture, expected in (
        (pixels, true),
        (pixels[:, ::-1], true),
        (np.hstack([pixels, air]), true / 2),
        (np.vstack([pixels, air]), true / 2),
        (pixels[:600], true),
    ):
        image = Mammogram(np.ascontiguousarray(picture), "PNG", 16, None, None, None, 0.0, ())
        share = predictor.examine(image)[0].breast_share
        assert share is not None and expected < share < expected + 0.05  # the mask has a rim


def test_an_image_other_than_a_mammogram_is_refused(predictor: Predictor) -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (600, 500)).astype(np.uint16)
    with pytest.raises(NotAMammogram):
        predictor.predict(Mammogram(noise, "PNG", 16, None, None, None, 0.0, ()))


def test_notes_of_the_file_become_warnings(predictor: Predictor) -> None:
    image = mammograms()[0]
    noted = Mammogram(**{**vars(image), "notes": ("The window was missing.",)})
    assert "The window was missing." in predictor.predict(noted).warnings


def test_a_missing_model_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NoModel, match="flask train"):
        ModelSource(tmp_path).get()


def test_a_model_installed_later_is_loaded(folder: Path) -> None:
    (folder / "CURRENT").rename(folder / "aside")
    source = ModelSource(folder)
    with pytest.raises(NoModel):
        source.get()
    (folder / "aside").rename(folder / "CURRENT")
    assert source.get().bundle.name == "first"


def test_a_promotion_is_followed_without_a_restart(folder: Path) -> None:
    source = ModelSource(folder)
    first = source.get()
    assert source.get() is first
    registry.promote(folder, "second")
    assert source.get().bundle.name == "second"
    registry.roll_back(folder)
    assert source.get().bundle.name == "first"


def test_predictions_continue_while_a_promoted_model_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ModelSource(folder)
    source.get()
    loading, go_on = threading.Event(), threading.Event()
    load = Predictor.load

    def load_slowly(*given: object) -> Predictor:
        loading.set()
        assert go_on.wait(30)
        return load(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "load", load_slowly)
    registry.promote(folder, "second")
    first_to_ask = threading.Thread(target=source.get)
    first_to_ask.start()
    assert loading.wait(30)
    assert source.get().bundle.name == "first"
    go_on.set()
    first_to_ask.join()
    assert source.get().bundle.name == "second"


def test_a_damaged_promoted_model_leaves_the_loaded_one_in_service(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = ModelSource(folder)
    source.get()
    registry.promote(folder, "second")
    (folder / "second" / bundles.HEAD).write_bytes(b"damaged")
    assert source.get().bundle.name == "first"
    assert "Keeping model first" in caplog.text
    shutil.rmtree(folder / "second")
    assert source.get().bundle.name == "first"


def test_a_damaged_model_at_startup_is_reported(folder: Path) -> None:
    (folder / "first" / bundles.BACKBONE).write_bytes(b"damaged")
    with pytest.raises(BundleError, match="changed or is damaged"):
        ModelSource(folder).get()
