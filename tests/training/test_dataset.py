"""Data sets as folders: categories, patients, tables."""

from pathlib import Path

import pytest

from birads_app.terms.spelling import parse_category
from training.data.dataset import listing, read_folder
from training.data.loader import load_dataset
from training.data.patient_ids import from_name
from training.errors import DatasetError


def fill(folder: Path, *names: str) -> None:
    """Put small files of different content into a folder; nothing decodes them here."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())


@pytest.mark.parametrize(
    ("folder", "category"),
    [
        ("Birads1", "1"),
        ("birads_1", "1"),
        ("BI-RADS 4", "4"),
        ("BIRADS-5", "5"),
        ("BIRAD 2", "2"),
        ("Bi-Rads category 3", "3"),
        ("4", "4"),
        ("4A", "4"),
        ("4b", "4"),
        ("BI-RADS 4C", "4"),
        ("Category 6", "6"),
        ("0", "0"),
    ],
)
def test_common_folder_names_are_recognised_as_categories(folder: str, category: str) -> None:
    assert parse_category(folder) == category


@pytest.mark.parametrize("folder", ["normal", "Birads7", "Birads", "44", "Birads1 old", "1-2", "D"])
def test_other_folder_names_are_not_categories(folder: str) -> None:
    assert parse_category(folder) is None


def test_an_unknown_folder_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "Birads1", "a.png", "b.png")
    fill(tmp_path / "benign", "c.png")
    with pytest.raises(DatasetError, match="'benign'"):
        read_folder(tmp_path)


def test_folders_of_one_category_are_joined_and_tables_ignored(tmp_path: Path) -> None:
    fill(tmp_path / "4A", "P1_L_DM_CC.jpg", "notes.txt", ".hidden")
    fill(tmp_path / "4B" / "deeper", "P2_L_DM_CC.jpg")
    fill(tmp_path / "Birads1", "P3_L_DM_CC.jpg", "P3_R_DM_CC.jpg")
    found = read_folder(tmp_path)
    assert found.classes == ("1", "4")
    assert sorted(found.patients) == ["P1", "P2", "P3", "P3"]
    assert found.labels.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("2013_BC000541_ CC_L.jpg", "BC000541"),
        ("P102_R_DM_CC.jpg", "P102"),
        ("PH0001_L_CC.png", "PH0001"),
        ("A_1123_RIGHT_CC.png", "A_1123"),
        ("Calc-Test_P_00038_LEFT_CC.dcm", "P_00038"),
        ("IMG_0001.png", None),
        ("ABC123456.png", None),
    ],
)
def test_patients_are_read_from_known_file_names(name: str, patient: str | None) -> None:
    assert from_name(name) == patient


def test_a_table_gives_patients_that_file_names_do_not(tmp_path: Path) -> None:
    fill(tmp_path / "1", "a.png", "b.png")
    fill(tmp_path / "5", "a.png", "c.png")
    (tmp_path / "truth.csv").write_text(
        "\ufeffPath,Patient\n1/a.png,Anna\n1/b.png,Berta\n5/a.png,Berta\nc.png,Carla\n", "utf-8"
    )
    found = read_folder(tmp_path)
    assert found.patients == ("Anna", "Berta", "Berta", "Carla")
    assert all(example.known for example in found.examples)


def test_an_ambiguous_file_name_gives_no_patient(tmp_path: Path) -> None:
    fill(tmp_path / "1", "a.png", "b.png")
    fill(tmp_path / "5" / "x", "a.png", "b.png")
    (tmp_path / "t.csv").write_text("file,patient\nold/1/a.png,Anna\nold/5/a.png,Berta\n", "utf-8")
    assert not any(example.known for example in read_folder(tmp_path).examples)


def test_the_dicom_header_gives_the_patient(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    fill(tmp_path / "1", "x.dcm", "y.dcm")
    fill(tmp_path / "2", "broken.dcm")
    header = Dataset()
    header.PatientID = "MRN 7"
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    header.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    header.save_as(tmp_path / "2" / "z.dcm", enforce_file_format=True)
    (tmp_path / "2" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    found = load_dataset(listing(tmp_path), tmp_path / "cache").listing.dataset
    known = {example.path.name: example.patient for example in found.examples if example.known}
    assert known == {"z.dcm": "MRN 7"}


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ({}, "no folders"),
        ({"Birads1": ["a.png", "b.png"]}, "only images of category 1"),
        ({"Birads1": [], "Birads2": []}, "no images"),
        ({"Birads1": ["a.png", "b.png"], "Birads2": ["c.png"]}, "Category 2 has 1 image"),
    ],
)
def test_too_few_images_are_refused(tmp_path: Path, folders: dict[str, list[str]], message: str) -> None:
    for folder, names in folders.items():
        fill(tmp_path / folder, *names)
    with pytest.raises(DatasetError, match=message):
        read_folder(tmp_path)


def test_categories_can_be_chosen(tmp_path: Path) -> None:
    fill(tmp_path / "Birads1", "a.png", "b.png")
    fill(tmp_path / "Birads3", "c.png", "d.png")
    fill(tmp_path / "Birads6", "e.png")
    assert read_folder(tmp_path, ("1", "3")).classes == ("1", "3")
    with pytest.raises(DatasetError, match="no images of category 2"):
        read_folder(tmp_path, ("1", "2"))
