"""The demonstration model's preset: label table of the public sets, options, text of the card."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from training import presets
from training.cli import commands
from training.config import TrainConfig
from training.data import dataset, protocol
from training.errors import DatasetError
from training.presets import public_sets

SETS = {
    "cdd-cesm-low-energy": (("Birads3", "Birads4", "Birads5"), "P{0}0{1}_L_DM_CC.jpg"),
    "ddsm-thumbnails": (("normal", "benign", "cancer"), "A_{0}{1:03d}_LEFT_CC.png"),
    "kau-bcmd-sample": (("Birads1", "Birads5"), "2013_BC00{0}0{1:02d}_CC_R.jpg"),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write empty files named like those of the public sets, with outlines of one CDD-CESM patient."""
    for folder, (labels, name) in SETS.items():
        for number, label in enumerate(labels, 1):
            (tmp_path / "data" / folder / label).mkdir(parents=True)
            for patient in range(8):
                (tmp_path / "data" / folder / label / name.format(number, patient)).touch()
    outlines = tmp_path / "data" / "cdd-cesm-low-energy-masks"
    outlines.mkdir()
    (outlines / "P100_L_DM_CC.jpg").touch()
    return tmp_path / "data"


def test_the_table_has_labels_sets_outlines_and_held_out_patients(data: Path, tmp_path: Path) -> None:
    table = public_sets.write_table(data, tmp_path / "made", phantom_patients=1)
    assert public_sets.write_table(data, tmp_path / "made", phantom_patients=1) == table
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert Counter(row["source"] for row in rows) == {
        "CDD-CESM": 24,
        "DDSM": 24,
        "KAU-BCMD": 16,
        "phantoms": 4,
    }
    assert {row["possible"] for row in rows if row["source"] == "DDSM"} == {"1|2", "2|3", "4|5"}
    assert [row["image"][-16:] for row in rows if row["mask"]] == ["P100_L_DM_CC.jpg"]
    parts = Counter((row["source"], row["part"]) for row in rows)
    assert parts["KAU-BCMD", "test"] == 16 and parts["phantoms", "training"] == 4
    assert 4 <= parts["CDD-CESM", "test"] <= 8 and 4 <= parts["DDSM", "test"] <= 8
    found = dataset.read(table)
    assert found.dataset.classes == ("1", "2", "3", "4", "5") or len(found.dataset.classes) >= 4
    assert not any(one.known is False for one in found.dataset.examples)


def test_a_missing_set_is_named(data: Path, tmp_path: Path) -> None:
    (data / "kau-bcmd-sample").rename(data / "other")
    with pytest.raises(DatasetError, match="needs the folder kau-bcmd-sample, which is missing from"):
        public_sets.write_table(data, tmp_path / "made")


def test_the_command_takes_the_preset_and_options_override_it(
    app: Flask, runner: FlaskCliRunner, data: Path, tmp_path: Path, monkeypatch
) -> None:
    commands.register(app)
    made: list[TrainConfig] = []
    monkeypatch.setattr(commands, "_train_head", lambda config, *_: made.append(config))
    monkeypatch.setattr(commands, "_may_serve", lambda name: False)
    monkeypatch.setattr(public_sets, "PHANTOM_PATIENTS", 1)
    file = tmp_path / "more.yaml"
    file.write_text("size: 320\nseed: 3\n")
    for order in (["--config", str(file), "--preset", "demo"], ["--preset", "demo", "--config", str(file)]):
        result = runner.invoke(args=["train", "--data", str(data), *order, "--seed", "5"])
        assert result.exit_code == 0, result.output
        (config,) = made
        made.clear()
        assert (config.name, config.preset, config.pooling) == ("birads-demo", "demo", "located")
        assert (config.size, config.seed, Path(config.data).name) == ("320", 5, "labels.csv")
        assert config.backbone_weights == str(data / "weights/resnet50_keras_v1_c4_exact.weights.h5")
        published = config.published["data"], config.published["backbone_weights"]
        assert published == ("public-sets/labels.csv", "weights/resnet50_keras_v1_c4_exact.weights.h5")
    assert presets.about("") == "" and "not a medical device" in presets.about("demo")


def test_patients_are_bound_to_the_part_that_a_table_names() -> None:
    config = TrainConfig("", "", replicates=100, test_share=0.2)
    labels = np.arange(60) % 3
    patients = [f"P{number // 2}" for number in range(60)]
    parts = ["test"] + [""] * 39 + ["training"] * 20  # the first patient is bound by one of the two images
    rows = np.zeros((60, 2), np.float32)

    def split(folds: int) -> protocol.SplitDataset:
        chosen = replace(config, folds=folds)
        return protocol.apply(chosen, rows, labels, patients, ("3", "4", "5"), parts=parts)

    final = split(0).final
    assert final.test.tolist() == [0, 1] and set(range(40, 60)) <= set(final.training.tolist())
    assert len(final.validation) and set(final.validation.tolist()) <= set(range(2, 40))
    validated = split(3)
    assert sorted(np.concatenate([fold.test for fold in validated.splits]).tolist()) == list(range(2, 40))
    assert all(set(range(40, 60)) <= set(fold.training.tolist()) for fold in validated.splits)
    assert not {0, 1} & set(validated.final.training.tolist())


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (("training", "test", ""), "Images of 1 patient are bound to training and test"),
        (("validation", "", ""), "has to be training, test or empty. Got validation"),
    ],
)
def test_unusable_parts_are_refused(tmp_path: Path, parts: tuple[str, ...], told: str) -> None:
    rows = [f"{number}.png,{3 + number % 2},P{number // 2}," for number in range(4)]
    for number, part in enumerate(parts):
        rows[number] += part
        (tmp_path / f"{number}.png").touch()
    (tmp_path / "3.png").touch()
    (tmp_path / "labels.csv").write_text("\n".join(["path,birads,patient,part", *rows]) + "\n")
    (problem,) = dataset.listing(tmp_path).problems
    assert told in problem
