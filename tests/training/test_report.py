"""``report.html``, model card and ``evaluation.json`` of a training."""

import json
import re
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from birads_app.imaging.decode import decode
from birads_app.model import bundles
from birads_app.model.predictor import Predictor
from training.config import Site, TrainConfig
from training.data import dataset, protocol, smote
from training.engine.learning_curve import Epoch
from training.evaluation import sanity_checks
from training.pipeline import train
from training.pipeline.external_evaluation import evaluate_bundle
from training.pipeline.result import FinishedTraining
from training.presets import stored_card
from training.report.learning_plots import learning_plots

ROOT = Path(__file__).resolve().parent.parent.parent
# Fewer than in a training, because each takes a fit.
PERMUTATIONS = 3
KAU = ROOT.parent / "shared" / "data" / "kau-bcmd-sample"


@pytest.fixture(scope="module")
def site(tiny_models: Path, tmp_path_factory) -> Site:
    folder = tmp_path_factory.mktemp("reports")
    return Site(models=tiny_models, cache=folder / "cache", target=folder / "models")


@pytest.fixture(scope="module")
def trained(small_network: None, site: Site, phantoms: Path) -> FinishedTraining:
    """Run one training with all options."""
    config = TrainConfig(data=str(phantoms), name="whole", epochs=2, test_share=0.3, replicates=300)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sanity_checks, "PERMUTATIONS", PERMUTATIONS)
        return train.train(config, site, lambda line: None)


@pytest.fixture(scope="module")
def known(trained: FinishedTraining) -> dict:
    return json.loads((trained.path / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def page(trained: FinishedTraining) -> str:
    return (trained.path / "report.html").read_text("utf-8")


def _test_images(settings: dict, names: dict[Path, Path]) -> list[Path]:
    """Return the names of the images of the test set, by splitting again."""
    config = TrainConfig.read(settings)
    found = dataset.read(Path(config.data)).dataset
    rows = np.zeros((len(found.examples), 1), np.float32)
    split = protocol.apply(config, rows, found.labels, found.patients, found.classes).final
    by_path = {path: name for name, path in names.items()}
    return [by_path[found.examples[index].path] for index in split.test]


def test_the_documentation_lists_exactly_the_keys(known) -> None:
    text = (ROOT / "docs" / "evaluation.md").read_text("utf-8").split("## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    assert {key for row in rows for key in re.findall(r"`(\w+)`", row)} == set(known)


def test_every_figure_has_an_interval(known) -> None:
    figures = [
        known[key] for key in ("accuracy", "macro_precision", "macro_recall", "macro_f1", "quadratic_kappa")
    ]
    for group in ("figures", "recall_of", "auc_of", "screening"):
        figures += known[group].values()
    figures += [known[when][name] for when in ("before", "after") for name in ("ece", "brier")]
    figures += [known["prediction_sets"][name] for name in ("coverage", "patients", "mean_size")]
    figures += [
        *known["sanity_checks"]["metadata_baseline"]["figures"].values(),
        *known["sanity_checks"]["label_permutation"]["figures"].values(),
    ]
    for figure in figures:
        assert set(figure) == {"value", "low", "high"} and figure["low"] <= figure["high"]
    assert len(known["sanity_checks"]["label_permutation"]["kappas"]) == PERMUTATIONS
    assert known["settings"]["seed"] == 0 and known["versions"]["keras"]


def test_each_epoch_has_loss_and_accuracy_on_training_and_validation_set(known, page) -> None:
    (curve,) = known["learning_curves"].values()
    assert [*known["learning_curves"]] == ["head"] and len(curve) == 2
    for epoch in curve:
        assert [*epoch] == ["loss", "validation_loss", "accuracy", "validation_accuracy"]
        assert epoch["loss"] > 0 and 0 <= epoch["accuracy"] <= 1 and 0 <= epoch["validation_accuracy"] <= 1
    for quantity in ("Loss", "Accuracy"):
        assert f'aria-label="{quantity} by epoch: Head"' in page


def test_the_curve_of_fine_tuning_begins_with_the_head_as_it_was() -> None:
    before = Epoch(np.nan, 0.9, np.nan, 0.5).as_dict()
    curves = {"head": (), "fine-tuning": (before, Epoch(0.8, 0.7, 0.6, 0.75).as_dict())}
    (plot,) = learning_plots(curves)
    assert plot.caption.startswith("Backbone and head, fine-tuned")
    for drawn in (plot.loss, plot.accuracy):
        learned, reached = re.findall(r'polyline class="line" points="([^"]*)"', drawn)
        assert len(learned.split()) == 1 and len(reached.split()) == 2 and reached.startswith("0.0,")


def test_page_and_card_have_the_values_of_the_file(known, page, trained) -> None:
    assert f"Training report, {date.fromisoformat(known['created'][:10]):%-d %b %Y}. Research use" in page
    card = (trained.path / "README.md").read_text("utf-8")
    for figure in (*known["figures"].values(), *known["screening"].values(), known["before"]["ece"]):
        told = f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
        assert told in card and told in trained.summary
        assert told in page or f"{figure['low']:.3f} to {figure['high']:.3f}" in page
    for warning in known["warnings"]:
        assert f"**{warning}**" in card and warning in trained.summary
        assert page.index(warning) < page.index("<h2>")
    for name, version in known["versions"].items():
        assert name in page and version in page
    for setting in known["settings"]:
        assert f">{setting}<" in page


def test_the_card_is_rendered_again_from_the_file(trained) -> None:
    bundle = bundles.load(trained.path)
    assert stored_card.render(bundle) == bundle.card


def test_the_page_is_self_contained_without_patients_or_file_names(page, phantoms) -> None:
    assert len(page.encode()) < 2_000_000
    assert "<script" not in page and "http" not in page and "style=" not in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert not re.search(r"PH\d{4}", page) and ".png" not in page
    assert page.count("<svg") == 6


def test_the_page_shows_correct_and_wrong_predictions_with_heat_maps(page, known) -> None:
    shown = re.findall(r"True (\d), predicted <strong>(\d)</strong>", page)
    right = sum(true == named for true, named in shown)
    correct = int(np.trace(known["confusion"]))
    assert right == min(6, correct) and len(shown) - right == min(6, known["images"] - correct)
    assert page.count("data:image/jpeg;base64,") == 2 * len(shown)


def test_the_class_balance_is_that_of_the_training_set(known) -> None:
    before, after = known["resampling"]["before"], known["resampling"]["after"]
    assert before == known["subsets"]["training"]["images"]
    labels = np.repeat(np.arange(len(before)), list(before.values()))
    rows = np.random.default_rng(0).random((len(labels), 3), np.float32)
    balanced = smote.balance(rows, labels, list(before), neighbours=2, seed=0)
    assert np.bincount(balanced.labels).tolist() == list(after.values())


def test_the_bundle_is_valid_and_predicts_with_prediction_sets(trained, known, phantoms, tmp_path) -> None:
    bundle = bundles.load(trained.path)
    assert bundle.threshold == known["threshold"]
    image = next(phantoms.glob("Birads4/*.png"))
    answer = Predictor.load(bundle).predict(decode(image.read_bytes(), image.name))
    assert answer.category in answer.prediction_set and set(answer.prediction_set) <= set(bundle.classes)
    changed = shutil.copytree(trained.path, tmp_path / "whole")
    (changed / "report.html").write_text((changed / "report.html").read_text() + " ")
    with pytest.raises(bundles.BundleError, match=r"report\.html of model whole was changed"):
        bundles.load(changed)


def test_the_test_images_evaluated_alone_give_the_figures_of_the_card(trained, known, site, phantoms) -> None:
    names = {path.relative_to(phantoms): path for path in phantoms.glob("*/*.png")}
    folder = trained.path.parent / "test images"
    for name in _test_images(known["settings"], names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(names[name], folder / name)
    shutil.copy(phantoms / "truth.csv", folder)
    bundle = bundles.load(trained.path)
    found = json.loads(json.dumps(evaluate_bundle(bundle, folder, site, lambda line: None, replicates=300)))
    assert found["confusion"] == known["confusion"] and found["patients"] == known["patients"]
    for name, figure in known["figures"].items():
        assert found["figures"][name] == figure, name
    for when, name in (("before", "ece"), ("after", "ece"), ("after", "brier")):
        assert found[when][name] == pytest.approx(known[when][name], abs=2e-3)
    assert found["ood"]["flagged"] == known["ood"]["flagged"]
    (against,) = found["drift"]
    assert against["differing"] == [] and not any("drift" in warning for warning in found["warnings"])


def test_images_and_sanity_checks_are_optional(site, phantoms) -> None:
    config = TrainConfig(
        data=str(phantoms),
        name="bare",
        head="knn",
        sanity_checks=False,
        report_images=False,
        classes=("1", "5"),
        replicates=100,
    )
    path = train.train(config, site, lambda line: None).path
    page, known = (path / "report.html").read_text(), json.loads((path / "evaluation.json").read_text())
    assert "data:image" not in page and known["sanity_checks"] is None
    assert "were not run" in page and "no learning curve" in page


@pytest.mark.skipif(not KAU.is_dir(), reason="needs ../shared/data/kau-bcmd-sample")
def test_a_real_set_whose_metadata_reveals_the_category_causes_a_warning(
    site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sanity_checks, "PERMUTATIONS", PERMUTATIONS)
    config = TrainConfig(data=str(KAU), name="kau", head="knn", report_images=False, replicates=300)
    trained = train.train(config, site, lambda line: None)
    page = (trained.path / "report.html").read_text("utf-8")
    card = (trained.path / "README.md").read_text("utf-8")
    known = json.loads((trained.path / "evaluation.json").read_text())
    warning = known["sanity_checks"]["metadata_baseline"]["warning"]
    assert warning.startswith("WARNING: file metadata alone") and warning in known["warnings"][:2]
    for text in (page, card, trained.summary):
        assert "WARNING: file metadata alone" in text
    assert not re.search(r"BC\d{6}", page)
