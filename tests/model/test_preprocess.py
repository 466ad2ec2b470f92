"""Preprocessing: breast box, crop, mirroring, standardisation."""

import numpy as np
import pytest

from birads_app.imaging.decode import Mammogram
from birads_app.imaging.segmentation import Box, find_breast
from birads_app.model.preprocess import DEFAULT_SIZE, prepare, standardise

TOP, LEFT, HEIGHT, WIDTH = 200, 0, 600, 400


def picture(height: int = 1000, width: int = 800) -> np.ndarray:
    """Draw a half ellipse of tissue at the left edge, in the box (200, 0, 600, 400), on black."""
    rows, columns = np.mgrid[0:height, 0:width]
    inside = ((rows - TOP - HEIGHT / 2) / (HEIGHT / 2)) ** 2 + (columns / WIDTH) ** 2 <= 1
    texture = 35_000 + 12_000 * np.sin(rows / 40) * np.cos(columns / 55)
    return (inside * texture).astype(np.uint16)


def mammogram(pixels: np.ndarray) -> Mammogram:
    return Mammogram(pixels, "PNG", 16, None, None, None, 0.0, ())


def assert_near(box: Box, expected: tuple[int, int, int, int], tolerance: int = 24) -> None:
    assert np.allclose((box.top, box.left, box.height, box.width), expected, atol=tolerance), box


def test_the_box_encloses_the_breast() -> None:
    assert_near(find_breast(picture()), (TOP, LEFT, HEIGHT, WIDTH))


def test_the_box_excludes_a_film_label() -> None:
    pixels = picture()
    pixels[40:140, 600:760] = 65535
    assert_near(find_breast(pixels), (TOP, LEFT, HEIGHT, WIDTH))
    assert prepare(mammogram(pixels), DEFAULT_SIZE).grey[:, 170:].max() == 0


def test_the_box_excludes_a_bright_frame() -> None:
    pixels = picture()
    pixels[:20] = pixels[-20:] = 65535
    pixels[:, -20:] = 65535
    assert_near(find_breast(pixels), (TOP, LEFT, HEIGHT, WIDTH))


def test_the_film_base_is_background() -> None:
    pixels = picture()
    base = np.random.default_rng(1).integers(1_000, 5_000, pixels.shape).astype(np.uint16)
    assert_near(find_breast(np.maximum(pixels, base)), (TOP, LEFT, HEIGHT, WIDTH))


def test_black_margins_change_nothing() -> None:
    pixels = picture()
    wide = np.zeros((2000, 1600), np.uint16)
    wide[500:1500, 0:800] = pixels
    plain, padded = prepare(mammogram(pixels), DEFAULT_SIZE).grey, prepare(mammogram(wide), DEFAULT_SIZE).grey
    assert np.corrcoef(plain.ravel(), padded.ravel())[0, 1] > 0.9


def test_a_right_breast_is_mirrored() -> None:
    left, right = (
        prepare(mammogram(picture()), DEFAULT_SIZE),
        prepare(mammogram(picture()[:, ::-1].copy()), DEFAULT_SIZE),
    )
    assert (left.flipped, right.flipped) == (False, True)
    assert np.abs(left.grey.astype(int) - right.grey.astype(int)).mean() < 4


def test_the_square_covers_the_breast_from_the_chest_wall() -> None:
    left = prepare(mammogram(picture()), DEFAULT_SIZE).box
    assert left.height == left.width
    assert_near(left, (TOP, 0, HEIGHT, HEIGHT))
    right = prepare(mammogram(picture()[:, ::-1].copy()), DEFAULT_SIZE).box
    assert_near(right, (TOP, 800 - HEIGHT, HEIGHT, HEIGHT))


@pytest.mark.parametrize("value", [0, 30_000, 65_535])
def test_a_constant_image_is_accepted(value: int) -> None:
    seen = prepare(mammogram(np.full((300, 200), value, np.uint16)), DEFAULT_SIZE)
    assert seen.grey.shape == (224, 224)
    assert np.isfinite(seen.tensor).all()


@pytest.mark.parametrize("shape", [(100, 3000), (3000, 100), (1, 1), (5, 2), (33, 47)])
def test_images_of_extreme_shape_are_accepted(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 65535, shape).astype(np.uint16)
    assert prepare(mammogram(pixels), DEFAULT_SIZE).grey.shape == (224, 224)


def test_standardisation_equals_that_of_keras_vgg16() -> None:
    keras = pytest.importorskip("keras")
    grey = np.random.default_rng(0).integers(0, 256, (2, 8, 8)).astype(np.uint8)
    rgb = np.repeat(grey[..., None], 3, axis=-1).astype(np.float32)
    expected = keras.applications.vgg16.preprocess_input(rgb)
    assert np.allclose(standardise(grey), expected, atol=1e-4)
