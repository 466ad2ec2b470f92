"""A training opens, parses and decodes each file once, and a second one decodes none."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import dicom_files, tiny_model
from tests.support.call_counts import count_calls
from tests.support.factories import breast, png
from training.config import Site, TrainConfig
from training.data import loader
from training.data.dataset import listing
from training.data.loader import load_dataset
from training.evaluation import sanity_checks
from training.pipeline import train

pytestmark = pytest.mark.usefixtures("small_network")

PATIENTS, EACH = 8, 2
CONFIG = TrainConfig("", "mine", head="knn", replicates=50, validation_share=0.25, test_share=0.25)
# Names of opened files below the folder that is watched; None if none is.
_opened: list[str] | None = None
_watched = ""


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None and str(arguments[0]).startswith(_watched):
        _opened.append(str(arguments[0]))


sys.addaudithook(_note)  # cannot be removed


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """DICOM files whose headers name the patient, and PNG files whose names do, in two categories."""
    for number in range(2 * PATIENTS * EACH):
        patient, kind = number // EACH, "dcm" if number % (2 * EACH) < EACH else "png"
        pixels = breast(200, 160, number)
        elements = {"SOPInstanceUID": f"1.2.{number}", "PatientID": f"MRN {patient}"}
        path = tmp_path / "data" / str(1 + patient // 2 % 2) / f"P{patient}_L_{number}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "dcm":
            path.with_name(f"IM{number}.dcm").write_bytes(dicom_files.mammogram(pixels, **elements))
        else:
            path.write_bytes(png(pixels))
    return tmp_path / "data"


@pytest.fixture
def counts(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Count the files that are opened, how often one is at most, parsed headers and decoded pixels."""
    found: Counter[str] = Counter()

    count_calls(lambda what, uid: found.update([what]), monkeypatch.setattr)
    monkeypatch.setattr(loader, "_SETTLED_S", 0)
    global _opened, _watched
    _opened, _watched = [], str(data)
    yield found
    _opened = None


def taken(counts: Counter[str]) -> dict[str, int]:
    """Return the counts and begin anew."""
    opened = Counter(name for name in _opened or () if not name.endswith(".csv"))
    found = {
        "files": len(opened),
        "openings of one": max(opened.values(), default=0),
        "parsed": counts["parsed"],
        "decoded": counts["decoded"],
    }
    counts.clear()
    assert _opened is not None
    _opened.clear()
    return found


COLD = {"files": 32, "openings of one": 1, "parsed": 16, "decoded": 32}
# Values of headers are not kept, so that the patients of DICOM files are read again.
WARM = {"files": 16, "openings of one": 1, "parsed": 16, "decoded": 0}
NONE = {"files": 0, "openings of one": 0, "parsed": 0, "decoded": 0}


def run(data: Path, tiny_models: Path, tmp_path: Path, **settings: object) -> str:
    """Train, and return the report page."""
    config = TrainConfig(**{**vars(CONFIG), "data": str(data), **settings})  # type: ignore[arg-type]
    site = Site(tiny_models, tmp_path / "cache", target=tmp_path / "models", work=tmp_path / "work")
    path = train.train(config, site, lambda line: None).path
    return (path / "report.html").read_text("utf-8")


def test_a_training_reads_each_file_once(
    data: Path, tiny_models: Path, tmp_path: Path, counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sanity_checks, "PERMUTATIONS", 3)  # each takes a fit
    page = run(data, tiny_models, tmp_path)
    assert "data:image/jpeg" in page and "metadata" in page  # thumbnails and sanity checks
    assert taken(counts) == COLD
    run(data, tiny_models, tmp_path, name="again", sanity_checks=False)
    assert taken(counts) == WARM


@pytest.mark.slow
def test_fine_tuning_reads_each_file_once(
    data: Path, tiny_models: Path, tmp_path: Path, counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "_open_network", lambda *_: tiny_model.keras_network())
    tuning = {"head": "dense", "epochs": 1, "fine_tune": "conv5", "fine_tune_epochs": 2, "batch_size": 8}
    page = run(data, tiny_models, tmp_path, sanity_checks=False, **tuning)
    assert "data:image/jpeg" in page
    assert taken(counts) == COLD


def test_a_check_reads_each_file_once(data: Path, tmp_path: Path, counts) -> None:
    for expected in (COLD, WARM):
        checked = load_dataset(listing(data), tmp_path / "cache").listing.dataset
        assert len(set(checked.patients)) == 2 * PATIENTS and all(one.known for one in checked.examples)
        assert taken(counts) == expected


def test_files_without_a_row_are_not_decoded(data: Path, tmp_path: Path, counts) -> None:
    rows = [f"1.2.{number},{1 + number // 4 % 2}" for number in range(0, 32, 4)]
    (data / "labels.csv").write_text("\n".join(["sop_instance_uid,birads", *rows]), "utf-8")
    loaded = load_dataset(listing(data / "labels.csv"), tmp_path / "cache")
    assert len(loaded.images) == 8 and not any(one.reason for one in loaded.images)
    assert "8 DICOM files have no row" in loaded.listing.notes[0]
    assert taken(counts) == {**COLD, "decoded": 8}


def test_a_refused_file_is_not_decoded_again(data: Path, tmp_path: Path, counts) -> None:
    (path,) = data.glob("1/P1_L_2.png")
    path.write_bytes(png(breast(200, 160)[:50, :50]))
    first, second = (
        [one.reason for one in load_dataset(listing(data), tmp_path / "cache").images] for _ in range(2)
    )
    assert first == second and sum(map(bool, first)) == 1 and taken(counts)["decoded"] == 32


def test_files_of_known_patients_are_not_even_opened_again(data: Path, tmp_path: Path, counts) -> None:
    for path in data.rglob("*.dcm"):
        path.unlink()
    load_dataset(listing(data), tmp_path / "cache")
    assert taken(counts) == {"files": 16, "openings of one": 1, "parsed": 0, "decoded": 16}
    load_dataset(listing(data), tmp_path / "cache")
    assert taken(counts) == NONE
