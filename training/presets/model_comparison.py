"""Comparison of models on the held-out patients of the demonstration preset."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.model import bundles, conformal
from birads_app.model.aggregation import DEFAULT_POOLING
from birads_app.model.calibration import fit_temperature, softmax
from birads_app.model.engine import open_engine
from birads_app.model.preprocess import InputSize, standardise
from birads_app.terms.errors import ModelError
from training.config import Site, TrainConfig
from training.engine.fit_arguments import FitArguments, hyperparameters_of
from training.evaluation import per_breast
from training.evaluation.bootstrap import BootstrapSamples, Interval, interval
from training.evaluation.evaluate import Evaluation, evaluate
from training.evaluation.roc import area
from training.features import extractor
from training.heads.logistic_regression import LogisticRegressionHead
from training.presets.demonstration_data import CESM, CLASSES, DDSM, KAU, PublicSets, Source
from training.report.text import FIGURE_NAMES, markdown_table

_BATCH = 32
# Function of n images, for example from squares, uint8 (n, size, size), to logits (n, 5).
ImageFunction = Callable[[np.ndarray], np.ndarray]
PARTIAL_NAMES = {
    "within": "Predicted category is within the label's set",
    "within_constant": "The same, always predicting the category that is in most sets",
    "auc_cancer_normal": "AUC of P(4 or 5), cancer against normal",
    "auc_cancer_benign": "AUC of P(4 or 5), cancer against benign",
}


@dataclass(frozen=True)
class SourcePredictions:
    """A model's logits of images of one source.

    rows : indices of the images in the source
    logits : float32 array (n, 5)
    """

    source: Source
    rows: np.ndarray
    logits: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """Labels of the source, (n,)."""
        return np.array(self.source.labels)[self.rows]

    @property
    def patients(self) -> list[str]:
        """Patient ids, n of them."""
        return [self.source.patients[row] for row in self.rows]

    @property
    def sides(self) -> list[str]:
        """Sides, n of them."""
        return [self.source.sides[row] for row in self.rows]

    @property
    def categories(self) -> np.ndarray:
        """Index of each label in CLASSES, int (n,); ValueError if a label is not a category."""
        return np.array([CLASSES.index(label) for label in self.labels])


def category_figures(
    predictions: SourcePredictions, temperature: float, threshold: float | None = None
) -> Evaluation:
    """Evaluate on a source labelled by BI-RADS category, including prediction sets if there is a threshold."""
    calibrated = softmax(predictions.logits, temperature)
    return evaluate(
        softmax(predictions.logits),
        calibrated,
        predictions.categories,
        predictions.patients,
        CLASSES,
        None if threshold is None else conformal.in_prediction_set(calibrated, threshold),
    )


@dataclass(frozen=True)
class PartialEvaluation:
    """Figures on ``images`` images of ``patients`` patients whose labels are normal, benign or cancer.

    figures : by the keys of PARTIAL_NAMES
    """

    images: int
    patients: int
    figures: dict[str, Interval]

    def as_dict(self) -> dict[str, Any]:
        """Return the entry for ``evaluation.json``."""
        figures = {key: asdict(figure) for key, figure in self.figures.items()}
        return {"images": self.images, "patients": self.patients, **figures}


def partial_label_figures(predictions: SourcePredictions, temperature: float) -> PartialEvaluation:
    """Evaluate on a source whose labels are normal, benign or cancer."""
    probabilities = softmax(predictions.logits, temperature)
    labels, suspicious = predictions.labels, probabilities[:, 3:].sum(axis=1)
    allowed = predictions.source.label_sets[predictions.rows]
    within = allowed[np.arange(len(labels)), probabilities.argmax(axis=1)]
    constant = int(allowed.sum(axis=0).argmax())
    samples = BootstrapSamples.of(predictions.patients)
    figures = {"within": samples.share(within), "within_constant": samples.share(allowed[:, constant])}
    for other in ("normal", "benign"):
        among = np.isin(labels, ("cancer", other))
        figures[f"auc_cancer_{other}"] = interval(area(samples, suspicious, labels == "cancer", among))
    return PartialEvaluation(len(labels), len(set(predictions.patients)), figures)


@dataclass(frozen=True)
class ComparedModel:
    """A model to compare, as a function from squares to logits.

    temperature : divisor of the logits
    threshold : threshold of the prediction sets; None without prediction sets
    pooling : pooling of the views of a breast
    """

    title: str
    logits: ImageFunction
    temperature: float
    threshold: float | None = None
    pooling: str = DEFAULT_POOLING

    def predict(self, source: Source, rows: np.ndarray) -> SourcePredictions:
        """Predict the images of a source with the given indices."""
        return SourcePredictions(source, rows, self.logits(source.squares[rows]))


@dataclass(frozen=True)
class ModelFigures:
    """Figures of a model by source."""

    title: str
    cesm: Evaluation
    breasts: per_breast.BreastEvaluation | None
    ddsm: PartialEvaluation
    kau: Evaluation

    def as_dict(self) -> dict[str, Any]:
        """Convert for evaluation.json."""
        breasts = self.breasts.as_dict() if self.breasts else None
        return {
            CESM: {**self.cesm.as_dict(), "breasts": breasts},
            DDSM: self.ddsm.as_dict(),
            KAU: self.kau.as_dict(),
        }


def in_batches(maps: ImageFunction, logits: ImageFunction) -> ImageFunction:
    """Chain preprocessing, backbone and head to a function of squares that works in small batches."""

    def of_squares(squares: np.ndarray) -> np.ndarray:
        batches = (squares[start : start + _BATCH] for start in range(0, len(squares), _BATCH))
        return np.concatenate([logits(maps(standardise(batch))) for batch in batches])

    return of_squares


def calibrated(title: str, logits: ImageFunction, sets: PublicSets) -> ComparedModel:
    """Calibrate on the validation patients: the temperature on both sets, threshold and pooling on CDD-CESM."""
    raw = ComparedModel(title, logits, temperature=1.0)
    cesm, ddsm = (raw.predict(sets.sources[name], sets.splits[name].validation) for name in (CESM, DDSM))
    label_sets = np.concatenate([one.source.label_sets[one.rows] for one in (cesm, ddsm)])
    temperature = fit_temperature(np.concatenate([cesm.logits, ddsm.logits]), label_sets)
    probabilities, labels = softmax(cesm.logits, temperature), cesm.categories
    threshold = conformal.fit_threshold(probabilities, labels, cesm.patients)
    pooling = per_breast.choose(probabilities, labels, per_breast.group(cesm.patients, cesm.sides))
    return ComparedModel(title, logits, temperature, threshold, pooling)


def of_bundle(path: Path, site: Site, size: int) -> ComparedModel:
    """Load a bundle; raises ModelError if its categories or its input size differ."""
    bundle = bundles.load(path)
    if bundle.classes != CLASSES or bundle.size != InputSize.square(size):
        raise ModelError(
            f"{bundle.name} has the categories {', '.join(bundle.classes)} at {bundle.size} pixels; only models "
            f"with {', '.join(CLASSES)} at {size} pixels can be compared."
        )
    engine = open_engine(bundle, site.engine, site.precision)
    return ComparedModel(bundle.name, in_batches(engine.maps, engine.logits), bundle.temperature)


def of_logistic_regression(weights: Path, site: Site, sets: PublicSets, seed: int) -> ComparedModel:
    """Fit logistic regression to CDD-CESM, on pooled features of the frozen ImageNet stages."""
    frozen = extractor.from_keras("resnet50", str(weights), site.cache, site.engine, site.precision)
    head, source, split = LogisticRegressionHead(), sets.sources[CESM], sets.splits[CESM]
    rows = in_batches(frozen.maps, head.features)(source.squares)
    labels = np.array([CLASSES.index(label) for label in source.labels])
    trained = head.fit(
        FitArguments(
            features=rows[split.training],
            labels=labels[split.training],
            validation_features=rows[split.validation],
            validation_labels=labels[split.validation],
            classes=len(CLASSES),
            map_shape=(0, 0, 0),  # not used by a head on pooled features
            **hyperparameters_of(TrainConfig(data="", name="", seed=seed)),
        )
    )
    logits = in_batches(frozen.maps, lambda maps: trained.logits(head.features(maps)))
    return calibrated("logistic regression", logits, sets)


def evaluate_model(model: ComparedModel, sets: PublicSets) -> ModelFigures:
    """Evaluate a model on the test patients, and on all of KAU-BCMD."""
    cesm, ddsm = (model.predict(sets.sources[name], sets.splits[name].test) for name in (CESM, DDSM))
    kau = model.predict(sets.sources[KAU], np.arange(len(sets.sources[KAU].labels)))
    return ModelFigures(
        model.title,
        category_figures(cesm, model.temperature, model.threshold),
        per_breast.measure(
            softmax(cesm.logits, model.temperature),
            cesm.categories,
            cesm.patients,
            cesm.sides,
            model.pooling,
        ),
        partial_label_figures(ddsm, model.temperature),
        category_figures(kau, model.temperature),
    )


def table(models: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures of several models on the same patients, as a Markdown table.

    Parameters
    ----------
    models : by title, the contents of :meth:`ModelFigures.as_dict`
    """

    def row(source: str, title: str, *keys: str) -> list[str]:
        figures = [reduce(getitem, keys, model[source]) for model in models.values()]
        return [f"{source}: {title}", *(str(Interval(**figure)) for figure in figures)]

    rows = [
        *(row(CESM, title, "figures", key) for key, title in FIGURE_NAMES.items()),
        *(row(DDSM, title, key) for key, title in PARTIAL_NAMES.items()),
        *(row(KAU, FIGURE_NAMES[key], "figures", key) for key in ("accuracy", "kappa")),
    ]
    return markdown_table(["figure (95 % confidence interval)", *models], rows)
