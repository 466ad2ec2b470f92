"""Heat maps: weight of evidence by occlusion, and drawing over the image."""

import numpy as np
import pytest

from birads_app.imaging.segmentation import Box, breast_mask, fit_breast
from birads_app.model.occlusion import (
    breast_cells,
    occlude,
    occluded_logits,
    render_heat_map,
    render_heat_maps,
    weight_of_evidence,
)
from birads_app.model.preprocess import ModelInput
from tests.support import factories

EVERYWHERE = np.ones((224, 224), bool)


def test_each_cell_and_each_neighbourhood_is_occluded_once() -> None:
    maps = np.random.default_rng(0).random((3, 4, 2)).astype(np.float32) + 1
    copies = np.concatenate(list(occlude(maps)))
    assert copies.shape == (25, 3, 4, 2)
    assert np.array_equal(copies[0], maps)
    for place in range(12):
        row, column = divmod(place, 4)
        alone, around = ((copies[number] == 0).all(axis=-1) for number in (1 + place, 13 + place))
        assert alone.sum() == 1
        assert alone[row, column]
        expected = np.zeros((3, 4), bool)
        expected[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
        assert np.array_equal(around, expected)


def test_places_outside_the_breast_need_not_be_hidden() -> None:
    random = np.random.default_rng(0)
    maps, weights = random.random((5, 4, 3)).astype(np.float32), random.normal(size=(3, 2))
    cells = random.random((5, 4)) < 0.5
    copies: list[int] = []

    def logits(batch: np.ndarray) -> np.ndarray:
        copies.append(len(batch))
        return np.asarray(batch.max(axis=(1, 2)) @ weights)

    every = weight_of_evidence(occluded_logits(maps, logits), cells)
    assert sum(copies) == 41
    some = weight_of_evidence(occluded_logits(maps, logits, cells), cells)
    assert np.array_equal(every, some) and every.any() and sum(copies) == 41 + 1 + 2 * cells.sum()


def test_weight_of_evidence_is_the_drop_in_log_odds() -> None:
    probabilities = np.full((9, 2), 0.5)
    probabilities[0] = 0.7, 0.3
    probabilities[1:] = probabilities[0]
    probabilities[1] = 0.2, 0.8  # the first place alone
    probabilities[7] = 0.9, 0.1  # the third place with its neighbours
    heat = weight_of_evidence(np.log(probabilities), np.ones((2, 2), bool))
    first = 2 / 3 * (np.log(0.7 / 0.3) - np.log(0.2 / 0.8))
    third = 1 / 3 * (np.log(0.3 / 0.7) - np.log(0.1 / 0.9))
    weights = np.array([[[first, 0], [-third, 0]], [[-first, 0], [third, 0]]])
    expected = np.clip(weights - weights.mean(axis=(1, 2), keepdims=True), 0, None)
    assert heat == pytest.approx(expected, abs=1e-6)


def test_a_category_without_positive_evidence_has_a_map() -> None:
    logits = np.tile([1.0, 0.0], (9, 1))
    logits[1:] += [1.0, 0.0]  # hiding anything favours the first category, but the fourth place least
    logits[4] -= [0.5, 0.0]
    heat = weight_of_evidence(logits, np.ones((2, 2), bool))[0]
    assert heat.argmax() == 3
    assert heat[1, 1] > 0


def test_a_saturated_prediction_has_a_peak() -> None:
    logits = np.tile([100.0, 0.0, -50.0], (9, 1))
    logits[2] = 80.0, 0.0, -50.0
    assert weight_of_evidence(logits, np.ones((2, 2), bool))[0].argmax() == 1


def test_cells_outside_the_breast_have_no_evidence() -> None:
    inside = np.zeros((224, 224), bool)
    inside[:, :100] = True
    places = breast_cells(inside, 7, 7)
    assert places[:, :3].all()
    assert not places[:, 3:].any()
    logits = np.random.default_rng(0).normal(size=(99, 2))
    heat = weight_of_evidence(logits, places)
    assert (heat[:, places] > 0).any()
    assert not heat[:, ~places].any()


def drawn(
    heat: np.ndarray,
    box: Box,
    flipped: bool,
    shape: tuple[int, int],
    inside: np.ndarray = EVERYWHERE,
) -> np.ndarray:
    """Draw the heat map at the size of the image, at most 500 pixels high."""
    return render_heat_map(heat, box, flipped, shape, breast_mask(inside, box, flipped, shape, longest=500))


def test_the_peak_of_the_heat_map_is_drawn_at_its_cell() -> None:
    heat = np.zeros((7, 7), np.float32)
    heat[1, 5] = 0.4
    picture = drawn(heat, Box(100, 50, 700, 700), False, (1000, 800))
    assert picture.shape == (500, 400, 4)
    row, column = np.unravel_index(picture[..., 3].argmax(), (500, 400))
    assert abs(row - (100 + 150) / 2) < 12
    assert abs(column - (50 + 550) / 2) < 12


def test_the_heat_map_of_a_mirrored_image_is_mirrored_back() -> None:
    heat = np.zeros((7, 7), np.float32)
    heat[3, 0] = 0.4
    picture = drawn(heat, Box(0, -200, 1000, 1000), True, (1000, 800))
    _, column = np.unravel_index(picture[..., 3].argmax(), picture.shape[:2])
    assert column > 350


def test_a_heat_map_of_zeros_is_transparent() -> None:
    picture = drawn(np.zeros((7, 7), np.float32), Box(0, 0, 90, 90), False, (90, 60))
    assert picture.shape == (90, 60, 4)
    assert picture[..., 3].max() == 0


@pytest.mark.parametrize("box", [Box(-300, -400, 900, 900), Box(500, 300, 900, 900), Box(0, 0, 5, 5)])
def test_a_box_beyond_the_image_is_clipped(box: Box) -> None:
    assert drawn(np.ones((7, 7), np.float32), box, False, (600, 400)).shape == (500, 333, 4)


def test_the_heat_map_is_limited_to_the_breast_and_fades_towards_the_skin() -> None:
    inside = np.zeros((224, 224), bool)
    inside[:, :112] = True
    picture = drawn(np.ones((7, 7), np.float32), Box(0, 0, 400, 400), False, (400, 400), inside)
    alpha = picture[200, :, 3].astype(int)
    assert (alpha[:180] == 255).all()
    assert (alpha[201:] == 0).all()
    assert np.abs(np.diff(alpha)).max() < 40


def test_the_heat_map_fades_at_the_edge_of_the_model_s_input_but_not_of_the_image() -> None:
    heat = np.ones((7, 7), np.float32)
    alpha = drawn(heat, Box(0, 0, 400, 400), False, (400, 480))[200, :, 3].astype(int)
    assert alpha[0] == 255 and alpha[399] < 40
    assert np.abs(np.diff(alpha)).max() < 40


def test_the_colour_scale_is_perceptually_uniform() -> None:
    heat = np.linspace(0, 1, 49, dtype=np.float32).reshape(7, 7)
    picture = drawn(heat, Box(0, 0, 400, 400), False, (400, 400)).astype(float)
    lightness = picture[..., :3] @ [0.2126, 0.7152, 0.0722]
    order = np.argsort(picture[..., 3], axis=None)
    assert (np.diff(lightness.ravel()[order]) > -12).all()
    assert lightness.ravel()[order[-1]] - lightness.ravel()[order[0]] > 120


@pytest.mark.parametrize(("padding", "level"), [((0, 0), 0), ((200, 0), 0), ((40, 0), 60000), ((0, 300), 0)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_heat_map_reaches_the_chest_wall(padding: tuple[int, int], level: int, mirrored: bool) -> None:
    """At the image's edge, beside a frame of film and in a padded image."""
    pixels = np.pad(factories.breast(1300, 1037, seed=5), ((0, 0), padding), constant_values=level)
    pixels = np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels
    fitted = fit_breast(pixels, (224, 224))
    place = ModelInput(np.zeros((224, 224), np.uint8), fitted.mask, fitted.box, fitted.flipped, pixels.shape)
    alpha = render_heat_maps(place, {"4": np.ones((7, 7), np.float32)})["4"][..., 3]
    middle = alpha[alpha.shape[0] // 2, :: -1 if mirrored else 1]
    scale = pixels.shape[1] / middle.size
    wall = round(padding[0] / scale)
    assert middle[wall + 1 : wall + round(600 / scale)].min() >= 254
    assert level or middle[: max(0, wall - 12)].max(initial=0) == 0
