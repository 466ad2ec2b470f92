"""``--data`` as a table: of files, of DICOM instances, of exams."""

import shutil
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from training.data.dataset import DatasetListing, listing, read
from training.data.loader import load_dataset
from training.errors import DatasetError


def fill(folder: Path, *names: str) -> None:
    """Put files of different content into a folder; nothing decodes them here."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def dicom(path: Path, instance: str, accession: str, side: str = "", patient: str = "") -> None:
    """Write a header without pixels."""
    header = Dataset()
    header.SOPInstanceUID, header.AccessionNumber = instance, accession
    header.ImageLaterality, header.PatientID, header.ViewPosition = side, patient, "CC"
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    header.file_meta.MediaStorageSOPInstanceUID = instance
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    fill(tmp_path, "a/1.png", "a/2.png", "b/1.png", "b/2.png")
    table = tmp_path / "labels.csv"
    table.write_text(
        "\ufeffPath,BI-RADS,Patient ID,View,Side,Density,Study Date\n"
        "a/1.png,1,Anna,CC,L,B,2020-01-31\n"
        "a\\2.png,BI-RADS 1,Anna,MLO,L,B,\n"
        "b/1.png,4A,Berta,,,,\n"
        "b/2.png,4.0,,,,,\n",
        "utf-8",
    )
    return table


def test_a_table_lists_files_and_labels(table: Path) -> None:
    found = read(table).dataset
    assert [example.category for example in found.examples] == ["1", "1", "4", "4"]
    assert found.patients[:3] == ("Anna", "Anna", "Berta")
    assert [example.known for example in found.examples] == [True, True, True, False]
    first = found.examples[0]
    assert (first.view, first.side, first.density, first.date) == ("CC", "L", "B", "2020-01-31")
    assert read(table, ("1", "4")).dataset == found


def test_the_table_may_lie_in_the_image_folder(table: Path) -> None:
    assert read(table.parent).dataset.examples == read(table).dataset.examples
    shutil.copy(table, table.with_name("more.csv"))
    with pytest.raises(DatasetError, match="several label tables: labels.csv, more.csv"):
        read(table.parent)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("c/9.png,1", "line 6: there is no file c/9.png"),
        ("b/2.png,3", "line 6: b/2.png has another category in line 5"),
        (",1", "line 6: no path"),
    ],
)
def test_an_unusable_row_is_named(table: Path, row: str, problem: str) -> None:
    with table.open("a") as stream:
        stream.write(row + ",,,,,\n")
    with pytest.raises(DatasetError, match=problem):
        read(table)


@pytest.mark.parametrize("label", ["7", "-1", "", "benign", "4D", "3.5"])
def test_labels_outside_0_to_6_are_named(table: Path, label: str) -> None:
    table.write_text(table.read_text("utf-8").replace("4A", label), "utf-8")
    with pytest.raises(DatasetError, match=f"line 4: '{label}' is not a BI-RADS category"):
        read(table)


def test_a_file_listed_twice_counts_once(table: Path) -> None:
    with table.open("a") as stream:
        stream.write("b/2.png,4.0,,,,,\n")
    found = listing(table)
    assert len(found.dataset.examples) == 4
    assert found.notes == ("labels.csv, line 6: b/2.png is listed twice.",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,patient\n", "no column birads"),
        (b"birads,view\n", "does not identify the images"),
        (b"\xff\xfe\x00", "UTF-16"),
    ],
)
def test_an_unreadable_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read(tmp_path / "t.csv")


def loaded(data: Path, cache: Path) -> DatasetListing:
    """Return the listing with what only headers have."""
    return load_dataset(listing(data), cache).listing


def test_dicom_files_joined_by_instance(tmp_path: Path) -> None:
    for number in range(5):
        dicom(tmp_path / "in" / f"{number}.dcm", f"1.2.{number}", "", patient=f"P{number // 2}")
    (tmp_path / "labels.csv").write_text(
        "SOPInstanceUID,birads\n1.2.0,2\n1.2.1,2\n1.2.2,5\n1.2.3,5\n", "utf-8"
    )
    found = loaded(tmp_path, tmp_path / "cache")
    assert [(e.category, e.patient, e.view) for e in found.dataset.examples] == [
        ("2", "P0", "CC"), ("2", "P0", "CC"), ("5", "P1", "CC"), ("5", "P1", "CC")
    ]  # fmt: skip
    assert "1 DICOM files have no row" in found.notes[0] and not found.problems


def test_dicom_files_joined_by_exam_and_side(tmp_path: Path) -> None:
    for exam in ("A1", "A2"):
        for side in "LR":
            dicom(tmp_path / exam / f"{side}.dcm", f"1.{ord(side)}.{exam[1]}", exam, side, patient=exam)
    table = tmp_path / "labels.csv"
    table.write_text("accession_number,side,birads\nA1,L,1\nA1,right,4\nA2,,1\n", "utf-8")
    found = {
        str(e.path.relative_to(tmp_path)): e.category
        for e in loaded(table, tmp_path / "cache").dataset.examples
    }
    assert found == {"A1/L.dcm": "1", "A1/R.dcm": "4", "A2/L.dcm": "1", "A2/R.dcm": "1"}
    with table.open("a") as stream:
        stream.write("A9,,4\n")
    assert loaded(table, tmp_path / "cache").problems[0] == "labels.csv, line 5: no DICOM file has A9."


def test_a_custom_pattern_gives_the_patients(tmp_path: Path) -> None:
    fill(tmp_path, "1/case-07/left.png", "1/case-08/left.png", "4/case-07/right.png", "4/P1_L_x.png")
    assert read(tmp_path, pattern=r"case-(\d+)").dataset.patients == ("07", "08", "P1", "07")
    assert "case-07" in read(tmp_path, pattern=r"case-\d+").dataset.patients
    with pytest.raises(DatasetError, match="--patient-pattern is not a regular expression"):
        read(tmp_path, pattern="case-(")


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="neither a folder nor a label table"):
        listing(tmp_path / "nothing")


def test_a_label_may_be_a_set_of_categories(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{number}.png" for number in range(8)))
    (tmp_path / "labels.csv").write_text(
        "path,birads,possible\n0.png,1,\n1.png,1,1|2\n2.png,,2 | 1\n3.png,,4A|4C\n4.png,4,\n5.png,,5|1\n"
    )
    found = read(tmp_path).dataset
    assert [one.category for one in found.examples] == ["1", "1", "", "4", "4", ""]
    assert [one.label for one in found.examples] == ["1", "1", "1|2", "4", "4", "1|5"]
    assert found.classes == ("1", "4") and found.labels.tolist() == [0, 0, -1, 1, 1, -1]
    first, fourth, none = [True, False], [False, True], [False, False]
    assert found.label_sets.tolist() == [first, first, none, fourth, fourth, none]
    chosen = read(tmp_path, ("1", "4")).dataset
    assert [one.label for one in chosen.examples] == ["1", "1", "4", "4"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",7|1,", "line 6: '7|1' in the column of possible categories is no list of categories from 1 to 5"),
        (",0|1,", "line 6: '0|1' in the column of possible categories is no list of categories from 1 to 5"),
        (",6,", "line 6: '6' in the column of possible categories is no list"),
        (",1|,", "line 6: '1|' in the column of possible categories is no list"),
        (",,", "line 6: '' is not a BI-RADS category"),
        ("normal,1|2,", "line 6: 'normal' is not a BI-RADS category"),
        ("4,1|2,", "line 6: category 4 contradicts the possible categories '1|2'"),
        ("4,,outlines/9.png", "line 6: there is no mask outlines/9.png"),
    ],
)
def test_unusable_sets_and_masks_are_named(tmp_path: Path, row: str, problem: str) -> None:
    fill(tmp_path, *(f"{number}.png" for number in range(5)))
    (tmp_path / "labels.csv").write_text(
        f"path,birads,possible,mask\n0.png,1,,\n1.png,1,,\n2.png,4,,\n3.png,4,,\n4.png,{row}\n"
    )
    (found,) = listing(tmp_path).problems
    assert found.startswith(f"labels.csv, {problem}")
    with pytest.raises(DatasetError, match="line 6"):
        read(tmp_path)
