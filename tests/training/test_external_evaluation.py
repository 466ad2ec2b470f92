"""``flask evaluate``: a model on an external test set, and drift against its card."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.imaging.decode import decode
from birads_app.model import bundles
from birads_app.model.predictor import Predictor
from training.evaluation import card_drift
from training.evaluation.bootstrap import Interval

ROOT = Path(__file__).resolve().parents[2]
KAU = ROOT.parent / "shared" / "data" / "kau-bcmd-sample"


@pytest.fixture
def evaluate(runner: FlaskCliRunner, folder: Path):
    """Run ``flask evaluate`` and return its output."""

    def run(data: Path, *options: str, status: int = 0) -> str:
        result = runner.invoke(args=["evaluate", "--data", str(data), *options])
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result.output

    return run


def test_the_figures_are_those_of_the_application(evaluate, phantoms: Path, folder: Path, tmp_path) -> None:
    output = evaluate(phantoms, "--out", str(tmp_path / "out"))
    known = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    predictor = Predictor.load(bundles.load(folder / "birads-demo"))
    confusion, covered = np.zeros((5, 5), int), 0
    for path in sorted(phantoms.glob("*/*.png")):
        answer = predictor.predict(decode(path.read_bytes(), path.name))
        true = path.parent.name[-1]
        confusion[int(true) - 1, int(answer.category) - 1] += 1
        covered += true in answer.prediction_set
    assert known["confusion"] == confusion.tolist() and known["images"] == 40 and known["patients"] == 10
    assert known["prediction_sets"]["coverage"]["value"] == covered / 40
    assert known["model"] == "birads-demo" and known["breasts"]["pooling"] == "mean"
    assert known["warnings"] == [] or known["warnings"][0].startswith("WARNING: the prediction sets")
    for figure in (*known["figures"].values(), *known["screening"].values(), known["after"]["ece"]):
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})" in output
    assert_documented(known)
    page = (tmp_path / "out" / "evaluation.html").read_text("utf-8")
    assert "birads-demo: external evaluation" in page and "has no figures to compare with" in page
    assert not re.search(r"PH\d{4}|\.png|<script|http", page)


def assert_documented(known: dict) -> None:
    """Compare the keys of a record with those in docs/evaluation.md."""
    documented, external = (ROOT / "docs" / "evaluation.md").read_text("utf-8").split("## External test sets")
    shared, own = (
        {
            key
            for row in re.findall(r"^\| (`.*?) \|", text.split("## ")[0], re.MULTILINE)
            for key in re.findall(r"`(\w+)`", row)
        }
        for text in (documented, external)
    )
    assert own <= set(known) and set(known) - own <= shared


@pytest.mark.slow
def test_categories_that_the_model_does_not_know_are_left_out_by_name(
    evaluate, copies: Path, tmp_path
) -> None:
    table = copies / "labels.csv"
    rows = [
        f"{path.relative_to(copies)},{path.parent.name[-1].replace('1', '0')},{path.name[:6]},{'AB'[index % 2]}"
        for index, path in enumerate(sorted(copies.glob("*/*.png")))
    ]
    table.write_text("path,birads,patient,source\n" + "\n".join(rows))
    output = evaluate(table, "--classes", "3,4,5", "--out", str(tmp_path))
    assert (
        "because of their category: 8 of category 0, 8 of category 2." in output
        and "\n24 images of " in output
    )
    known = json.loads((tmp_path / "evaluation.json").read_text())
    assert known["left_out"] == {"0": 8, "2": 8} and [*known["sources"]] == ["A", "B"]
    assert known["sources"]["A"]["images"] == 12 and "Figures apart by the source" in output
    assert "<h2>Sources</h2>" in (tmp_path / "evaluation.html").read_text("utf-8")

    sets = {"3": "3|4", "5": "4|5"}

    def with_set(path: str, code: str, patient: str, source: str) -> str:
        possible = sets.get(code, "") if source == "B" else ""
        return f"{path},{'' if possible else code},{patient},{source},{possible}"

    listed = [with_set(*row.split(",")) for row in rows]
    table.write_text("path,birads,patient,source,possible\n" + "\n".join(listed))
    output = evaluate(table, "--classes", "3,4,5", "--out", str(tmp_path))
    known = json.loads((tmp_path / "evaluation.json").read_text())
    partial = known["partial_labels"]["B"]
    assert list(known["partial_labels"]) == ["B"] and known["images"] + partial["images"] == 24
    assert list(partial["auc"]) == ["4|5 against 3|4"] and 0 <= partial["within"]["value"] <= 1
    assert "Sets of possible categories" in (tmp_path / "evaluation.html").read_text("utf-8")
    assert "Test images whose label is a set of possible categories" in output
    output = evaluate(table, "--classes", "0,5", status=1)
    assert "does not know category 0, only 1, 2, 3, 4, 5. Remove it from --classes." in output


@pytest.mark.slow
def test_one_category_alone_is_evaluated(evaluate, copies: Path, tmp_path: Path) -> None:
    for other in "1345":
        shutil.rmtree(copies / f"Birads{other}")
    (copies / "truth.csv").unlink()
    for number, path in enumerate(sorted((copies / "Birads2").iterdir())):
        path.rename(path.with_name(f"image{number}.png"))
    shutil.copy(copies / "Birads2" / "image0.png", copies / "Birads2" / "image90.png")
    (copies / "Birads2" / "image91.png").write_bytes(b"no image")
    output = evaluate(copies, "--out", str(tmp_path))
    assert "WARNING: the patients of 8 of 8 images are unknown" in output
    assert "image90.png: A duplicate of image0.png." in output and "image91.png: " in output
    assert "Unusable and excluded: 2 files." in output and "Sensitivity" not in output
    assert len(json.loads((tmp_path / "evaluation.json").read_text())["excluded"]) == 2


def test_data_without_a_usable_image_are_an_error(evaluate, tmp_path: Path) -> None:
    (tmp_path / "data" / "6").mkdir(parents=True)
    (tmp_path / "data" / "6" / "a.png").write_bytes(b"no image")
    output = evaluate(tmp_path / "data", status=1)
    assert "has no usable image of category 1, 2, 3, 4, 5" in output and "1 of category 6" in output
    assert "No model is named other." in evaluate(tmp_path / "data", "--model", "other", status=1)


def test_a_difference_is_more_than_chance_if_its_interval_excludes_zero() -> None:
    same = card_drift.difference(Interval(0.6, 0.5, 0.7), Interval(0.6, 0.5, 0.7))
    assert (
        same.value == 0 and same.low == pytest.approx(-(0.02**0.5)) and same.high == pytest.approx(0.02**0.5)
    )
    lower = card_drift.difference(Interval(0.8, 0.75, 0.85), Interval(0.5, 0.4, 0.6))
    assert card_drift.FigureDrift(Interval(0.8, 0.75, 0.85), Interval(0.5, 0.4, 0.6), lower).differs
    assert lower.low < -0.3 < lower.high < 0


def test_the_interval_of_a_difference_has_nominal_coverage() -> None:
    """Two shares of independent patients, with the normal interval of each."""
    random, held = np.random.default_rng(0), 0
    for _ in range(1000):
        before, now = (_share(random.random(300) < share) for share in (0.7, 0.6))
        found = card_drift.difference(before, now)
        held += found.low <= -0.1 <= found.high
    assert 0.93 <= held / 1000 <= 0.97


def _share(right: np.ndarray) -> Interval:
    reach = 1.96 * right.std() / len(right) ** 0.5
    return Interval(right.mean(), right.mean() - reach, right.mean() + reach)


@pytest.mark.slow
@pytest.mark.skipif(not KAU.is_dir(), reason="needs ../shared/data/kau-bcmd-sample")
def test_the_shipped_model_has_the_figures_of_its_card(
    app: Flask, runner: FlaskCliRunner, models: Path, tmp_path: Path
) -> None:
    from training.cli.commands import register

    register(app)
    app.extensions["birads_settings"] = app.extensions["birads_settings"].model_copy(
        update={"models": models}
    )
    options = ("--model", "birads-demo", "--data", str(KAU), "--out", str(tmp_path))
    result = runner.invoke(args=["evaluate", *options])
    assert result.exit_code == 0, result.output
    record = json.loads((models / "birads-demo" / bundles.EVALUATION).read_text())
    card, known = record["sources"]["KAU-BCMD"], json.loads((tmp_path / "evaluation.json").read_text())
    assert (known["images"], known["patients"]) == (card["images"], card["patients"])
    written = (models / "birads-demo" / bundles.CARD).read_text()
    for name in ("accuracy", "f1", "kappa"):
        figure = card["figures"][name]
        told = f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
        assert told in result.output and told in written, name
    (against,) = known["drift"]
    assert (against["images"], against["patients"]) == (record["images"], record["patients"])
    page = (tmp_path / "evaluation.html").read_text("utf-8")
    assert f"{record['images']} images of {record['patients']} patients" in page and not re.search(
        r"BC\d{6}", page
    )
