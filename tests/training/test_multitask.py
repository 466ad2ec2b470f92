"""Multi-task fine-tuning: losses, augmentation of masks, resuming."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from birads_app.model.preprocess import InputSize
from tests.support import tiny_model
from training.data.augment import Augmentation, finding_cells
from training.engine.multitask import FineTuning, ImageSet, Schedule, multitask_losses, set_loss
from training.errors import TrainingError

SIZE = 64
SQUARE = InputSize.square(SIZE)
SHORT = Schedule(batch=4, copies=1, epochs_a=1, epochs_b=1, images_b=8)


def image_set(seed: int) -> ImageSet:
    """Build eight squares of two grey levels, half with several categories, half with a mask at the top left."""
    rng = np.random.default_rng(seed)
    squares = rng.integers(0, 60, (8, SIZE, SIZE)).astype(np.uint8)
    squares[4:] += 150
    label_sets = np.zeros((8, 5), bool)
    label_sets[:4, 0] = label_sets[4:, 4] = True
    label_sets[2:6, 3] = True
    masks = np.zeros((8, SIZE, SIZE), np.uint8)
    masks[:, : SIZE // 2, : SIZE // 2] = 255
    return ImageSet(squares, label_sets, np.ones(8), masks, np.arange(8) % 2 == 0)


def fine_tuning(work: Path, schedule: Schedule, seed: int = 0, network: str = "tiny") -> FineTuning:
    import keras

    from training.engine.backbone import keras_resnet50
    from training.engine.multitask import CONV4

    keras.utils.set_random_seed(0)
    backbone = tiny_model.keras_network(64, SQUARE) if network == "tiny" else keras_resnet50(None, SQUARE)
    low = keras.Model(backbone.input, backbone.get_layer(CONV4).output)
    maps = keras.Input(backbone.output.shape[1:])
    cells = keras.layers.Flatten()(keras.layers.Conv2D(1, 1)(maps))
    head = keras.Model(maps, [keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(maps)), cells])
    return FineTuning(
        backbone,
        head,
        lambda batch: low(batch, training=False).numpy(),
        image_set(seed),
        image_set(1),
        schedule,
        work,
    )


@pytest.mark.parametrize("network", ["tiny", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_an_interrupted_run_continues(network: str, tmp_path: Path) -> None:
    first = fine_tuning(tmp_path, SHORT, network=network)
    assert {name: len(curve) for name, curve in first.run().items()} == {"stage A": 1, "stage B": 1}
    resumed = fine_tuning(tmp_path, dataclasses.replace(SHORT, epochs_b=2), network=network)
    curves = resumed.run()
    assert {name: len(curve) for name, curve in curves.items()} == {"stage A": 1, "stage B": 2}
    assert curves["stage A"] == first.curves["stage A"] and curves["stage B"][:1] == first.curves["stage B"]
    assert all(np.isfinite(epoch).all() for curve in curves.values() for epoch in curve)
    assert not list(tmp_path.glob("*.part"))
    logits = resumed.logits(image_set(1).squares)
    restored = set_loss(logits, image_set(1).label_sets, image_set(1).weights)
    assert restored == pytest.approx(curves["stage B"][-1].validation_loss, rel=1e-3)


def test_a_run_that_is_resumed_ends_like_one_that_was_not(tmp_path: Path) -> None:
    two = dataclasses.replace(SHORT, epochs_a=2, epochs_b=2)
    whole = fine_tuning(tmp_path / "whole", two).run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FineTuning, "_stage_b", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            fine_tuning(tmp_path / "parts", two).run()
    parts = fine_tuning(tmp_path / "parts", two).run()
    assert {name: len(curve) for name, curve in parts.items()} == {"stage A": 2, "stage B": 2}
    for name, curve in whole.items():
        np.testing.assert_allclose(parts[name], curve, rtol=1e-3)


def _interrupt(_run: FineTuning) -> None:
    raise KeyboardInterrupt


def test_a_run_with_other_images_is_refused(tmp_path: Path) -> None:
    fine_tuning(tmp_path, SHORT)._check_images()
    fine_tuning(tmp_path, SHORT)._check_images()
    with pytest.raises(TrainingError, match="start again"):
        fine_tuning(tmp_path, SHORT, seed=2).run()


def test_the_loss_sums_the_probabilities_of_the_label_set() -> None:
    logits = np.log(np.array([[0.1, 0.2, 0.3, 0.4]]))
    assert set_loss(logits, np.array([[True, False, False, True]]), np.ones(1)) == pytest.approx(-np.log(0.5))
    assert set_loss(logits, np.ones((1, 4), bool), np.ones(1)) == pytest.approx(0)


def test_augmentation_keeps_shape_and_type_and_is_reproducible_by_seed() -> None:
    square = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE)).astype(np.uint8)

    def changed(seed: int) -> np.ndarray:
        return Augmentation.random((SIZE, SIZE), np.random.default_rng(seed)).apply(square)

    assert changed(5).shape == square.shape
    assert changed(5).dtype == np.uint8
    assert np.array_equal(changed(5), changed(5))
    assert not np.array_equal(changed(5), changed(6))


def test_a_mask_is_transformed_like_its_image() -> None:
    square = np.zeros((SIZE, SIZE), np.uint8)
    square[10:20, 30:44] = 255
    for seed in range(8):
        change = Augmentation.random((SIZE, SIZE), np.random.default_rng(seed))
        assert np.array_equal(change.warp(square) > 127, change.apply(square) > change.levels[127])


def test_finding_cells_are_listed_row_by_row() -> None:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[:32, 32:] = 255  # the upper right quarter
    mask[62:, :2] = 255  # too little of its cell
    assert finding_cells(mask, (2, 2)).tolist() == [False, True, False, False]


def test_images_without_a_mask_have_no_cell_loss() -> None:
    label_sets = np.array([[True, False], [True, False]])
    cells = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    logits, right, wrong = [[0.0, 0.0]] * 2, [[9.0, -9.0]] * 2, [[-9.0, 9.0]] * 2

    def losses(cell_logits: list[list[float]]) -> np.ndarray:
        all_logits = np.concatenate([logits, cell_logits], axis=1).astype(np.float32)
        return np.asarray(multitask_losses((label_sets, cells, np.array([True, False])), all_logits, 0.5))

    assert losses(right) == pytest.approx(np.log([2, 2]), abs=1e-3)
    # A cell with a finding has weight 6: 0.5 * (6 * 9 + 9) / 2, for the image with a mask.
    assert losses(wrong) == pytest.approx([np.log(2) + 15.75, np.log(2)], abs=1e-2)
