"""Masks of findings in label tables: transformed like their images, stored once, and refused if they do not fit."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from birads_app.imaging.decode import decode
from birads_app.model.preprocess import InputSize, prepare
from training.data import loader, outlines
from training.data.dataset import listing
from training.data.loader import LoadedDataset, load_dataset
from training.data.usable_images import refusals

SIZE = InputSize(100, 60)


@pytest.fixture
def outlined(phantoms: Path, tmp_path: Path) -> Path:
    """A table of four phantoms: with a mask, with a black one, without findings, and unknown."""
    images = [*sorted((phantoms / "Birads1").iterdir())[:2], *sorted((phantoms / "Birads5").iterdir())[:2]]
    shape = decode(images[0].read_bytes()).pixels.shape
    for name, row in (("white", slice(60, 120)), ("black", slice(0, 0))):
        mask = np.zeros(shape, np.uint8)
        mask[row, 40:90] = 255
        cv2.imwrite(str(tmp_path / f"{name}.png"), mask)
    masks = ("white.png", "black.png", "none", "")
    rows = [
        f"{path},{path.parent.name[-1]},{mask},P{number}"
        for number, (path, mask) in enumerate(zip(images, masks, strict=True))
    ]
    (tmp_path / "labels.csv").write_text("path,birads,mask,patient\n" + "\n".join(rows))
    return tmp_path / "labels.csv"


def loaded(table: Path) -> LoadedDataset:
    return load_dataset(listing(table), table.parent / "cache", SIZE)


def test_an_outline_is_transformed_like_its_image(phantoms: Path) -> None:
    """An image transformed as if it were its mask resembles the prepared image, whose grey levels are stretched."""
    for path in sorted(phantoms.glob("*/*.png"))[:8]:
        mammogram = decode(path.read_bytes())
        prepared = prepare(mammogram, SIZE)
        outline = outlines.fit((mammogram.pixels >> 8).astype(np.uint8), mammogram.pixels, SIZE)
        inside = prepared.breast_mask
        assert np.corrcoef(outline[inside], prepared.grey[inside])[0, 1] > 0.98


def test_outlines_are_stored_with_the_prepared_images(outlined: Path, monkeypatch) -> None:
    first = loaded(outlined)
    assert not refusals(first)
    assert [one.findings_known for one in first.images] == [True, True, True, False]
    drawn = first.prepared.outlines([one.outline for one in first.images])
    assert drawn.shape == (4, *SIZE) and drawn.dtype == np.uint8
    assert drawn[0].max() == 255 and not drawn[1:].any()
    monkeypatch.setattr(loader.ImageFile, "decode", lambda file: pytest.fail("a known file is decoded again"))
    again = loaded(outlined)
    assert again.images == first.images


def test_a_changed_mask_is_noticed(outlined: Path) -> None:
    first = loaded(outlined)
    mask = outlined.parent / "white.png"
    cv2.imwrite(str(mask), cv2.imread(str(mask))[::-1])
    again = loaded(outlined)
    before, after = (one.prepared.outlines([one.images[0].outline])[0] for one in (first, again))
    assert before.any() and after.any() and (before != after).any()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"no image", "cannot be read as an image"),
        (cv2.imencode(".png", np.zeros((7, 5), np.uint8))[1].tobytes(), "has 5 x 7 pixels, its image"),
        (None, "has no white pixel; the brightest has the grey level 1 of 255"),
    ],
)
def test_a_mask_that_does_not_fit_is_a_problem(outlined: Path, content: bytes | None, problem: str) -> None:
    mask = outlined.parent / "white.png"
    if content is None:
        cv2.imwrite(str(mask), cv2.imread(str(mask)) // 255)
    else:
        mask.write_bytes(content)
    (found,) = refusals(loaded(outlined))
    assert found.startswith("The mask white.png of PH") and problem in found
