"""Comparison of models on the held-out patients of the demonstration preset."""

from pathlib import Path

import numpy as np
import pytest

from birads_app.model import bundles
from birads_app.terms.errors import ModelError
from training.config import Site
from training.presets import model_comparison
from training.presets.demonstration_data import CESM, CLASSES, DDSM, KAU, PublicSets, Source
from training.presets.model_comparison import ComparedModel, SourcePredictions

SIZE = 32


def source(name: str, labels: tuple[str, ...], patients: int = 24) -> Source:
    """Build two views of each patient's left breast, with a grey level for each label."""
    rng = np.random.default_rng(3)
    each = [labels[number % len(labels)] for number in range(patients) for _ in range(2)]
    greys = np.array([50 * labels.index(label) for label in each], np.uint8)
    squares = np.repeat(greys, SIZE * SIZE).reshape(-1, SIZE, SIZE) + rng.integers(
        0, 20, (2 * patients, SIZE, SIZE), np.uint8
    )
    names = tuple(f"{name}{number // 2}" for number in range(2 * patients))
    masks = np.zeros_like(squares)
    return Source(name, squares, tuple(each), names, ("L",) * len(each), masks, np.zeros(len(each), bool))


@pytest.fixture(scope="module")
def sets() -> PublicSets:
    """Return sources whose labels follow from the grey levels."""
    sources = {
        CESM: source(CESM, CLASSES),
        DDSM: source(DDSM, ("normal", "benign", "cancer")),
        KAU: source(KAU, ("1", "3", "5")),
    }
    return PublicSets(sources, {name: sources[name].split(0.3, 0.3, seed=1) for name in (CESM, DDSM)})


def by_grey(squares: np.ndarray) -> np.ndarray:
    """Return logits by the grey levels of CDD-CESM."""
    level = squares.reshape(len(squares), -1).mean(axis=1, keepdims=True)
    return np.asarray(-((level - 9.5 - 50 * np.arange(5)) ** 2) / 200, np.float32)


def test_a_perfect_model_has_perfect_figures(sets: PublicSets) -> None:
    perfect = model_comparison.calibrated("by grey", by_grey, sets)
    figures = model_comparison.evaluate_model(perfect, sets)
    assert figures.cesm.figures["accuracy"].value == 1.0 and figures.breasts is not None
    assert figures.breasts.by_breast["kappa"].value == 1.0
    # In KAU-BCMD the levels have other labels: 0, 50, 100 are 1, 3, 5 there.
    assert figures.kau.figures["accuracy"].value == pytest.approx(1 / 3)
    assert figures.as_dict()[CESM]["breasts"]["pooling"] == perfect.pooling
    assert figures.cesm.prediction_sets is not None
    stored = figures.as_dict()[DDSM]
    test = sets.splits[DDSM].test
    patients = {sets.sources[DDSM].patients[row] for row in test}
    assert (stored["images"], stored["patients"]) == (len(test), len(patients))


def test_the_table_has_a_column_per_model(sets: PublicSets) -> None:
    constant = ComparedModel("always 4", lambda squares: np.tile([0, 0, 0, 1.0, 0], (len(squares), 1)), 1.0)
    perfect = model_comparison.calibrated("by grey", by_grey, sets)
    lines = model_comparison.table(
        {one.title: model_comparison.evaluate_model(one, sets).as_dict() for one in (perfect, constant)}
    ).split("\n")
    assert lines[0] == "| figure (95 % confidence interval) | by grey | always 4 |"
    (kappa,) = (line for line in lines if line.startswith("| CDD-CESM: Quadratic kappa |"))
    assert kappa.split(" | ")[1:] == ["1.000 (1.000 to 1.000)", "0.000 (0.000 to 0.000) |"]
    assert len({line.count("|") for line in lines}) == 1


def test_a_model_with_another_input_size_is_refused(tiny_models: Path, tmp_path: Path) -> None:
    path = tiny_models / "birads-demo"
    with pytest.raises(ModelError, match="at 64 pixels can be compared"):
        model_comparison.of_bundle(path, Site(tiny_models, tmp_path), 64)
    bundle = bundles.load(path)
    model = model_comparison.of_bundle(path, Site(tiny_models, tmp_path), bundle.size.height)
    logits = model.logits(np.zeros((33, *bundle.size), np.uint8))
    assert logits.shape == (33, 5) and model.temperature == bundle.temperature


def test_predictions_have_patients_sides_and_categories(sets: PublicSets) -> None:
    predictions = SourcePredictions(sets.sources[CESM], np.array([2, 3]), np.zeros((2, 5)))
    assert (predictions.patients, predictions.sides) == ([f"{CESM}1"] * 2, ["L", "L"])
    assert predictions.categories.tolist() == [1, 1]
    with pytest.raises(ValueError):
        _ = SourcePredictions(sets.sources[DDSM], np.array([0]), np.zeros((1, 5))).categories
