"""Several sources in one table: figures apart, and a warning about categories of one source only."""

from pathlib import Path

import numpy as np
import pytest

from birads_app.model.preprocess import InputSize
from training.data.dataset import listing
from training.data.dataset_report import build_report
from training.data.loader import LoadedDataset, LoadedImage
from training.data.prepared_images import PreparedImages
from training.evaluation import per_source
from training.report import text


def report_lines(tmp_path: Path, rows: str) -> list[str]:
    """Return the lines of the check of a table, whose files are not read."""
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text(f"path,birads,patient,Quelle\n{rows}")
    listed = listing(tmp_path / "labels.csv")
    images = tuple(LoadedImage(example, reason="not read") for example in listed.dataset.examples)
    loaded = LoadedDataset(listed, images, PreparedImages(tmp_path / "cache", InputSize(32, 32)), ())
    return list(build_report(loaded, 5).lines())


def test_the_check_counts_sources_and_warns_of_a_category_of_one_source(tmp_path: Path) -> None:
    lines = report_lines(
        tmp_path, "0.png,1,a,Ost\n1.png,1,b,Ost\n2.png,4,c,West\n3.png,4,d,Ost\n4.png,4,e,\n5.png,1,f,Ost\n"
    )
    assert "Source Ost: BI-RADS 1 3, BI-RADS 4 1" in lines and "Source unknown: BI-RADS 4 1" in lines
    warned = [line for line in lines if "come from the source" in line]
    assert len(warned) == 1 and "category 1 come from the source Ost" in warned[0]


def test_one_source_is_not_mentioned(tmp_path: Path) -> None:
    lines = report_lines(tmp_path, "0.png,1,a,Ost\n1.png,1,b,Ost\n2.png,4,c,Ost\n3.png,4,d,Ost\n")
    assert not any(line.startswith("Source") or "the source" in line for line in lines)


def evaluated(sources: list[str]) -> dict[str, per_source.SourceEvaluation]:
    """Evaluate four images of 4 and four of 1, of which the model misses those of 4 in the last two."""
    labels = np.array([1, 0, 1, 0, 1, 0, 1, 0])
    probabilities = np.eye(2)[labels] * 0.8 + 0.1
    probabilities[[4, 6]] = 0.7, 0.3
    patients = np.array([f"p{number}" for number in range(8)])
    return per_source.measure(
        probabilities, labels, patients, np.array(sources), ("1", "4"), replicates=50, seed=0
    )


def test_each_source_has_its_own_figures() -> None:
    found = evaluated(["Ost"] * 4 + ["West"] * 3 + [""])
    assert list(found) == ["Ost", "West"] and found["Ost"].images == 4 and found["West"].patients == 3
    assert found["Ost"].figures["accuracy"].value == 1
    assert found["West"].figures["accuracy"].value == pytest.approx(1 / 3)
    record = {"sources": {name: one.as_dict() for name, one in found.items()}}
    table = text.sources_table(record)
    assert "| Ost | 4 of 4 patients | 1.000" in table and "| West | 3 of 3 patients | 0.333" in table
    assert text.sources_table({}) == "" == text.sources_table({"sources": {}})


def test_an_auc_that_is_undefined_is_left_out() -> None:
    found = evaluated(["Ost", "West"] * 4)
    assert "auc" not in found["Ost"].figures and found["West"].figures["accuracy"].value == 1


def test_a_single_source_has_no_figures_of_its_own() -> None:
    assert evaluated(["Ost"] * 8) == evaluated([""] * 8) == {}
