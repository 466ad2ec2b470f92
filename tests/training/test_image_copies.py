"""Copies of an image, found by perceptual hash however they were changed."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from birads_app.imaging.decode import Mammogram
from birads_app.model.preprocess import DEFAULT_SIZE, ModelInput, prepare
from tests.support.copies import CHANGES
from training.data import image_copies
from training.data.dataset import Example
from training.data.image_copies import Copy
from training.data.perceptual_hash import BYTES, HashIndex, compute

CESM = Path(__file__).resolve().parents[3] / "shared" / "data" / "cdd-cesm-low-energy"


def prepared(picture: np.ndarray) -> ModelInput:
    """Prepare an 8-bit picture."""
    pixels = picture.astype(np.uint16) * 257
    return prepare(Mammogram(pixels, "PNG", 8, None, None, None, 0.0, ()), DEFAULT_SIZE)


@pytest.fixture(scope="module")
def pictures(phantoms: Path) -> list[np.ndarray]:
    """Four views of three patients."""
    paths = sorted(phantoms.glob("*/*.png"), key=lambda path: path.name)[:12]
    return [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]


@pytest.fixture(scope="module")
def index(pictures: list[np.ndarray]) -> HashIndex:
    hashes = [compute(prepared(picture)) for picture in pictures]
    assert {len(one) for one in hashes} == {BYTES}
    return HashIndex(hashes)


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_changed_copy_is_found_and_no_other_view_or_patient(
    change: Callable[[np.ndarray], np.ndarray], pictures: list[np.ndarray], index: HashIndex
) -> None:
    for number in (0, 5, 10):
        ((found, similarity),) = index.copies(prepared(change(pictures[number])))
        assert found == number and similarity > 0.8


def test_an_image_without_texture_has_no_copies(index: HashIndex) -> None:
    size = tuple(DEFAULT_SIZE)
    blank = ModelInput(
        np.zeros(size, np.uint8), np.zeros(size, bool), prepared(np.eye(9, dtype=np.uint8)).box, False, size
    )
    assert not index.copies(blank) and not HashIndex([]).copies(blank)
    assert not HashIndex([compute(blank)]).copies(blank)


def test_patients_who_share_copies_are_one_patient() -> None:
    examples = [
        Example(Path(name), "1", patient, True) for name, patient in zip("abcde", "PQRST", strict=True)
    ]
    pairs = [Copy((Path("c"), Path("b"))), Copy((Path("b"), Path("e")), 0.9)]
    united = image_copies.united_patients(examples, pairs)
    assert [one.patient for one in united] == ["P", "Q", "Q", "S", "Q"]


@pytest.mark.slow
@pytest.mark.skipif(not CESM.is_dir(), reason="needs ../shared/data/cdd-cesm-low-energy")
def test_copies_of_real_mammograms_are_found_without_false_matches() -> None:
    pictures = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(CESM.glob("*/*.jpg"))]
    index = HashIndex([compute(prepared(picture)) for picture in pictures])
    for number in range(0, len(pictures), 20):
        for change in CHANGES.values():
            assert [found for found, _ in index.copies(prepared(change(pictures[number])))] == [number]
