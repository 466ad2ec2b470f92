"""Augmentation of images and of the outlines of their findings."""

import numpy as np

from training.data.augment import Augmentation, finding_cells

SIZE = 64


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
