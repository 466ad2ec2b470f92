"""Phantoms: image content, reproducibility, written sets."""

import csv
import io
from collections import Counter
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from tests.support.passes import passes
from training.data.dataset import read_folder
from training.phantoms import generate
from training.phantoms.dicom import encode_dicom
from training.phantoms.image import Phantom, phantom
from training.phantoms.synthetic_findings import FINDINGS_BY_CATEGORY

ALL_FINDINGS = [(category, kind) for category, kinds in FINDINGS_BY_CATEGORY.items() for kind in kinds]


def draw(
    category: str = "3", view: str = "CC", side: str = "L", density: str = "B", seed: int = 5, **more
) -> Phantom:
    return phantom(np.random.default_rng(seed), category, view, side, density, **more)


def test_the_breast_is_surrounded_by_black_air() -> None:
    image = draw()
    assert image.pixels.shape == (512, 410)
    assert image.pixels.dtype == np.uint16
    assert image.pixels.max() <= generate.WHITE
    air = image.pixels == 0
    assert air[:, -1].all()
    assert 0.2 < air.mean() < 0.8


@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize(("side", "chest_wall", "nipple_side"), [("L", 0, -1), ("R", -1, 0)])
def test_the_chest_wall_of_a_left_breast_is_on_the_left(
    view: str, side: str, chest_wall: int, nipple_side: int
) -> None:
    pixels = draw(view=view, side=side).pixels
    assert (pixels[:, chest_wall] > 0).sum() > 200
    assert (pixels[:, nipple_side] > 0).sum() == 0


def test_only_the_mlo_view_has_a_pectoral_muscle_in_its_corner() -> None:
    assert draw("1", "CC").pixels[:20, :20].max() == 0
    assert draw("1", "MLO").pixels[:20, :20].mean() > 0.2 * generate.WHITE


def test_tissue_gets_whiter_with_density() -> None:
    means = []
    for density in "ABCD":
        images = [draw("1", density=density, seed=seed).pixels for seed in range(4)]
        means.append(np.mean([image[image > 0].mean() for image in images]))
    assert means == sorted(means)
    assert means[3] > 1.2 * means[0]


@pytest.mark.parametrize(("category", "kind"), ALL_FINDINGS)
@pytest.mark.parametrize("view", ["CC", "MLO"])
def test_the_box_encloses_all_pixels_of_the_finding(category: str, kind: str, view: str) -> None:
    for seed in range(3):
        bare = draw("1", view, "R", seed=seed)
        image = draw(category, view, "R", seed=seed, kind=kind)
        (finding,) = image.findings
        top, left, height, width = finding.box
        changed = np.abs(image.pixels.astype(int) - bare.pixels) > 0.06 * generate.WHITE
        assert changed.sum() > 60
        changed[top : top + height, left : left + width] = False
        assert changed.sum() == 0
        assert 0 <= top < top + height <= 512
        assert 0 <= left < left + width <= 410
        assert 20 < max(height, width) < 170


def test_category_1_has_no_finding() -> None:
    assert draw("1").findings == ()


def test_both_views_of_a_breast_show_the_same_finding() -> None:
    for category in "2345":
        kinds = {draw(category, view).findings[0].kind for view in ("CC", "MLO")}
        assert len(kinds) == 1


def test_location_and_anatomy_do_not_depend_on_the_category() -> None:
    boxes = [draw(category, seed=9).findings[0].box for category in "2345"]
    centres = [(top + height / 2, left + width / 2) for top, left, height, width in boxes]
    assert np.ptp(centres, axis=0).max() < 20
    corner = [draw(category, seed=9).pixels[200:300, :20] for category in "12345"]
    assert all(np.array_equal(corner[0], other) for other in corner)


def test_the_phantom_scales_with_the_size() -> None:
    image = draw("5", size=200)
    assert image.pixels.shape == (200, 160)
    assert image.findings[0].box[2] < 80


def test_a_film_label_is_burnt_in_only_on_request() -> None:
    plain, labelled = draw(), draw(film_label=True)
    assert plain.pixels[:60, -120:].max() < labelled.pixels[:60, -120:].max()
    assert np.array_equal(plain.pixels[80:], labelled.pixels[80:])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"category": "6"}, "category"),
        ({"view": "ML"}, "view"),
        ({"side": "B"}, "laterality"),
        ({"density": "E"}, "density"),
        ({"size": 10}, "64"),
        ({"kind": "spiculated mass"}, "category 3"),
    ],
)
def test_invalid_arguments_are_rejected(wrong: dict, message: str) -> None:
    with pytest.raises(generate.PhantomError, match=message):
        draw(**wrong)


def test_a_patient_has_four_images_and_breasts_keep_their_category() -> None:
    images = list(generate.patients(3, seed=1, size=128))
    assert [patient for patient, _ in images] == ["PH0001"] * 4 + ["PH0002"] * 4 + ["PH0003"] * 4
    assert {(image.laterality, image.view) for _, image in images[:4]} == {
        ("L", "CC"),
        ("L", "MLO"),
        ("R", "CC"),
        ("R", "MLO"),
    }
    assert len({image.density for _, image in images[:4]}) == 1
    assert all(images[i][1].category == images[i + 1][1].category for i in range(0, 12, 2))


def test_categories_are_balanced_unless_weights_say_otherwise() -> None:
    even = Counter(image.category for _, image in generate.patients(10, seed=2, size=64))
    assert even == dict.fromkeys("12345", 8)
    weights = {"3": 1.0, "5": 3.0}
    skewed = Counter(image.category for _, image in generate.patients(10, seed=2, size=64, weights=weights))
    assert skewed == {"3": 10 * 4 // 4, "5": 30}


@pytest.mark.parametrize("weights", [{}, {"7": 1.0}, {"1": 0.0}])
def test_weights_of_unknown_categories_are_rejected(weights: dict) -> None:
    with pytest.raises(generate.PhantomError, match="Shares must be positive"):
        generate.patients(1, seed=0, weights=weights)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("format", ["png", "dicom"])
def test_the_same_seed_writes_the_same_bytes(tmp_path: Path, format: str) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        generate.write_set(tmp_path / name, 2, seed, format, size=96)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_truth_names_every_image_with_its_box(tmp_path: Path) -> None:
    seen: list[int] = []
    truth = generate.write_set(tmp_path / "set", 5, 1, size=128, progress=seen.append)
    rows = list(csv.DictReader(truth.open(newline="")))
    assert seen == [1, 2, 3, 4, 5]
    assert tuple(rows[0]) == generate.COLUMNS
    assert len(rows) == 20
    for row in rows:
        image = cv2.imread(str(truth.parent / row["path"]), cv2.IMREAD_UNCHANGED)
        assert image.dtype == np.uint8
        assert image.shape == (128, 102)
        assert row["path"] == f"Birads{row['birads']}/{row['patient']}_{row['side']}_{row['view']}.png"
        assert (row["finding"] in FINDINGS_BY_CATEGORY[row["birads"]]) == (row["birads"] != "1")
        assert all(
            row[side].isdigit() == (row["birads"] != "1") for side in ("top", "left", "height", "width")
        )


@pytest.mark.parametrize("format", ["png", "dicom"])
def test_the_set_is_in_the_layout_of_training(tmp_path: Path, format: str) -> None:
    generate.write_set(tmp_path / "set", 5, 1, format, size=64)
    dataset = read_folder(tmp_path / "set")
    assert len(dataset.examples) == 20
    assert dataset.classes == tuple("12345")
    assert {example.patient for example in dataset.examples} == {f"PH{n:04d}" for n in range(1, 6)}


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(generate.FolderInUse, match="not empty"):
        generate.write_set(tmp_path, 1, 0)
    with pytest.raises(generate.FolderInUse):
        generate.write_set(tmp_path / "mine.txt", 1, 0)
    assert contents(tmp_path) == {"mine.txt": b"keep"}


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (1, -1)])
def test_an_invalid_set_leaves_no_files(tmp_path: Path, count: int, seed: int) -> None:
    with pytest.raises(generate.PhantomError, match="Got"):
        generate.write_set(tmp_path / "set", count, seed)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    assert generate.write_set(tmp_path / "set", 1, 0, size=64).is_file()


def test_an_interrupted_set_leaves_no_files(tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate.write_set(tmp_path / "set", 2, 0, size=64, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("view", "code"), [("CC", "399162004"), ("MLO", "399368009")])
def test_the_dicom_header_describes_the_image(view: str, code: str) -> None:
    image = draw("5", view, "R")
    dataset = pydicom.dcmread(io.BytesIO(encode_dicom(image, "PH0007", seed=1)))
    assert dataset.SOPClassUID.name == "Digital Mammography X-Ray Image Storage - For Presentation"
    assert (dataset.Modality, dataset.PatientID) == ("MG", "PH0007")
    assert (dataset.ImageLaterality, dataset.ViewPosition) == ("R", view)
    assert dataset.ViewCodeSequence[0].CodeValue == code
    assert (dataset.BitsStored, dataset.PhotometricInterpretation) == (12, "MONOCHROME2")
    assert np.array_equal(dataset.pixel_array, image.pixels)


def test_dicom_images_of_a_patient_share_the_study_only() -> None:
    files = [encode_dicom(image, patient, 1) for patient, image in generate.patients(2, seed=1, size=64)]
    datasets = [pydicom.dcmread(io.BytesIO(data)) for data in files]
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == 8
    assert len({dataset.StudyInstanceUID for dataset in datasets}) == 2
    assert all(dataset.StudyInstanceUID.is_valid for dataset in datasets)


@pytest.mark.slow
def test_writing_takes_no_longer_than_some_passes_over_the_pixels(tmp_path: Path) -> None:
    """Four images against passes over 64: 29 on an Intel Xeon that writes 27 images a second on one core."""
    sets, pixels = count(), np.tile(draw().pixels, (8, 8))
    assert passes(lambda: generate.write_set(tmp_path / str(next(sets)), 1, 0), pixels) < 60
