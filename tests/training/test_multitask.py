"""Fine-tuning learns from sets of categories, and goes on where it was stopped."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.support import tiny_model
from training.data.augment import Augmentation, covered_cells
from training.engine.multitask import FineTuning, ImageSet, Schedule, multitask_losses, set_loss
from training.errors import TrainingError

SIZE = 64
SHORT = Schedule(batch=4, copies=1, epochs_a=1, epochs_b=1, draws_b=8)


def part(seed: int) -> ImageSet:
    """Eight squares of two kinds; half of the labels are sets, and half have a finding at the top left."""
    rng = np.random.default_rng(seed)
    squares = rng.integers(0, 60, (8, SIZE, SIZE)).astype(np.uint8)
    squares[4:] += 150
    possible = np.zeros((8, 5), bool)
    possible[:4, 0] = possible[4:, 4] = True
    possible[2:6, 3] = True
    outlines = np.zeros((8, SIZE, SIZE), np.uint8)
    outlines[:, : SIZE // 2, : SIZE // 2] = 255
    return ImageSet(squares, possible, np.ones(8), outlines, np.arange(8) % 2 == 0)


def fine_tuning(work: Path, schedule: Schedule, seed: int = 0, network: str = "tiny") -> FineTuning:
    import keras

    from training.engine.backbone import keras_resnet50
    from training.engine.multitask import CONV4

    keras.utils.set_random_seed(0)
    backbone = tiny_model.keras_network(64, SIZE) if network == "tiny" else keras_resnet50(None, SIZE)
    low = keras.Model(backbone.input, backbone.get_layer(CONV4).output)
    maps = keras.Input(backbone.output.shape[1:])
    places = keras.layers.Flatten()(keras.layers.Conv2D(1, 1)(maps))
    head = keras.Model(maps, [keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(maps)), places])
    return FineTuning(
        backbone, head, lambda batch: low(batch, training=False).numpy(), part(seed), part(1), schedule, work
    )


@pytest.mark.parametrize("network", ["tiny", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_a_stopped_run_goes_on(network: str, tmp_path: Path) -> None:
    first = fine_tuning(tmp_path, SHORT, network=network)
    assert [row["stage"] for row in first.run()] == ["a", "b"]
    again = fine_tuning(tmp_path, dataclasses.replace(SHORT, epochs_b=2), network=network)
    history = again.run()
    assert [(row["stage"], row["epoch"]) for row in history] == [("a", 1), ("b", 1), ("b", 2)]
    assert all(np.isfinite(row["validation_loss"]) for row in history)
    assert not list(tmp_path.glob("*.part"))
    kept = set_loss(again.logits(part(1).squares), part(1).possible, part(1).weights)
    assert kept == pytest.approx(history[-1]["validation_loss"], rel=1e-3)


def test_a_run_does_not_go_on_with_other_images(tmp_path: Path) -> None:
    first = fine_tuning(tmp_path, SHORT)
    (tmp_path / "state.json").write_text(json.dumps(first.state))
    with pytest.raises(TrainingError, match="start again"):
        fine_tuning(tmp_path, SHORT, seed=2).run()


def test_a_stage_ends_with_its_epochs_or_its_time(tmp_path: Path) -> None:
    run = fine_tuning(tmp_path, SHORT)
    run.state["history"] = [{"stage": "a", "validation_loss": 1.0, "seconds": 40}] * 2
    assert not run._finished("a", epochs=3)
    assert run._finished("a", epochs=2)
    assert not run._finished("b", epochs=9)
    run.schedule = dataclasses.replace(SHORT, minutes=1)
    assert run._finished("b", epochs=9)


def test_the_loss_sums_over_the_set() -> None:
    logits = np.log(np.array([[0.1, 0.2, 0.3, 0.4]]))
    assert set_loss(logits, np.array([[True, False, False, True]]), np.ones(1)) == pytest.approx(-np.log(0.5))
    assert set_loss(logits, np.ones((1, 4), bool), np.ones(1)) == pytest.approx(0)


def test_a_change_keeps_shape_and_range_and_follows_the_seed() -> None:
    square = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE)).astype(np.uint8)

    def changed(seed: int) -> np.ndarray:
        return Augmentation.random(SIZE, np.random.default_rng(seed)).apply(square)

    assert changed(5).shape == square.shape
    assert changed(5).dtype == np.uint8
    assert np.array_equal(changed(5), changed(5))
    assert not np.array_equal(changed(5), changed(6))


def test_an_outline_moves_with_its_picture() -> None:
    square = np.zeros((SIZE, SIZE), np.uint8)
    square[10:20, 30:44] = 255
    for seed in range(8):
        change = Augmentation.random(SIZE, np.random.default_rng(seed))
        assert np.array_equal(change.warp(square) > 127, change.apply(square) > change.levels[127])


def test_places_are_covered_row_by_row() -> None:
    outline = np.zeros((SIZE, SIZE), np.uint8)
    outline[:32, 32:] = 255  # the upper right quarter
    outline[62:, :2] = 255  # too little of its place
    assert covered_cells(outline, (2, 2)).tolist() == [False, True, False, False]


def test_places_are_learned_only_where_it_is_known_what_covers_them() -> None:
    possible = np.array([[True, False], [True, False]])
    places = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    logits, right, wrong = [[0.0, 0.0]] * 2, [[9.0, -9.0]] * 2, [[-9.0, 9.0]] * 2

    def losses(answered: list[list[float]]) -> np.ndarray:
        answers = np.concatenate([logits, answered], axis=1).astype(np.float32)
        return np.asarray(multitask_losses((possible, places, np.array([True, False])), answers, 0.5))

    assert losses(right) == pytest.approx(np.log([2, 2]), abs=1e-3)
    # A covered place counts sixfold: 0.5 * (6 * 9 + 9) / 2, for the image whose places are known.
    assert losses(wrong) == pytest.approx([np.log(2) + 15.75, np.log(2)], abs=1e-2)
