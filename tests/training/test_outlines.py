"""Masks of findings in label tables: transformed like their images, stored once, and refused if they do not fit."""

from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from birads_app.imaging.decode import decode
from birads_app.model.preprocess import InputSize, prepare
from training.data import loader, outlines
from training.data.dataset import listing
from training.data.loader import LoadedDataset, load_dataset
from training.data.usable_images import refusals, select
from training.phantoms.generate import write_set

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


def test_masks_of_a_table_joined_by_header_are_read(tmp_path: Path) -> None:
    """A row is matched to its file only once the headers are read."""
    write_set(tmp_path / "set", 3, seed=4, size=128, format="dicom")
    files = sorted((tmp_path / "set").glob("*/*.dcm"))
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    shape = decode(files[0].read_bytes()).pixels.shape
    cv2.imwrite(str(tmp_path / "set" / "white.png"), np.full(shape, 255, np.uint8))
    rows = [
        f"{header.SOPInstanceUID},{'14'[number % 2]},{'white.png' if number == 5 else 'none'}"
        for number, header in enumerate(headers)
    ]
    table = tmp_path / "set" / "labels.csv"
    table.write_text("sop_instance_uid,birads,mask\n" + "\n".join(rows))
    found = {one.example.path: one for one in loaded(table).images}
    assert [bool(found[file].outline) for file in files] == [number == 5 for number in range(len(files))]
    assert all(one.findings_known and not one.mask_problem for one in found.values())


def test_of_copies_the_more_precise_label_is_kept(outlined: Path) -> None:
    first, *others = outlined.read_text().splitlines()[1:]
    path = Path(first.split(",")[0])
    copy = outlined.parent / f"copy{path.suffix}"
    copy.write_bytes(path.read_bytes())
    rows = [f"{row},," for row in (first, *others)]
    head = "path,birads,mask,patient,possible\n"
    outlined.write_text(head + "\n".join([f"{copy.name},,,P0,1|2", *(row[:-1] for row in rows)]))
    _, rejected = select(loaded(outlined).images)
    assert [file.path for file in rejected] == [copy] and "duplicate" in rejected[0].reason
    outlined.write_text(head + "\n".join([f"{copy.name},,,P0,4|5", *(row[:-1] for row in rows)]))
    _, rejected = select(loaded(outlined).images)
    assert len(rejected) == 2 and all("categories 1 and 4|5" in file.reason for file in rejected)
