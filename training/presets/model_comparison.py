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
from birads_app.model.preprocess import standardise
from birads_app.terms.errors import ModelError
from training.config import Site, TrainConfig
from training.engine.fit_arguments import FitArguments
from training.evaluation import per_breast
from training.evaluation.bootstrap import BootstrapSamples, Interval, interval
from training.evaluation.evaluate import Evaluation, evaluate
from training.evaluation.roc import area
from training.features import extractor
from training.heads.logistic_regression import LogisticRegressionHead
from training.presets.demonstration_data import CESM, CLASSES, DDSM, KAU, Material, Source
from training.report.text import FIGURE_NAMES, markdown_table

_AT_ONCE = 32
# Squares uint8 (n, size, size) -> logits (n, 5).
Judge = Callable[[np.ndarray], np.ndarray]
PARTIAL_NAMES = {
    "within": "Predicted category is within the label's set",
    "within_constant": "The same, always predicting the category that is in most sets",
    "auc_cancer_normal": "AUC of P(4 or 5), cancer against normal",
    "auc_cancer_benign": "AUC of P(4 or 5), cancer against benign",
}


@dataclass(frozen=True)
class SourcePredictions:
    """One source's held-out images with the model's logits.

    rows : indices of the images in the source
    logits : float32 array (n, 5)
    """

    source: Source
    rows: np.ndarray
    logits: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """n labels as the source gives them."""
        return np.array(self.source.labels)[self.rows]

    @property
    def patients(self) -> list[str]:
        """n patient ids."""
        return [self.source.patients[row] for row in self.rows]

    @property
    def sides(self) -> list[str]:
        """n sides."""
        return [self.source.sides[row] for row in self.rows]

    @property
    def categories(self) -> np.ndarray:
        """int (n,), each label's place in CLASSES; ValueError where one is no category."""
        return np.array([CLASSES.index(label) for label in self.labels])


def exact(answers: SourcePredictions, temperature: float, threshold: float | None = None) -> Evaluation:
    """Figures on a source whose labels are BI-RADS categories; of prediction sets too, where there is a threshold."""
    calibrated = softmax(answers.logits, temperature)
    return evaluate(
        softmax(answers.logits),
        calibrated,
        answers.categories,
        answers.patients,
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


def partial(answers: SourcePredictions, temperature: float) -> PartialEvaluation:
    """Evaluate on a source whose labels are normal, benign or cancer."""
    probabilities = softmax(answers.logits, temperature)
    labels, suspicious = answers.labels, probabilities[:, 3:].sum(axis=1)
    allowed = answers.source.possible[answers.rows]
    within = allowed[np.arange(len(labels)), probabilities.argmax(axis=1)]
    constant = int(allowed.sum(axis=0).argmax())
    samples = BootstrapSamples.of(answers.patients)
    figures = {"within": samples.share(within), "within_constant": samples.share(allowed[:, constant])}
    for other in ("normal", "benign"):
        among = np.isin(labels, ("cancer", other))
        figures[f"auc_cancer_{other}"] = interval(area(samples, suspicious, labels == "cancer", among))
    return PartialEvaluation(len(labels), len(set(answers.patients)), figures)


@dataclass(frozen=True)
class ComparedModel:
    """A model that can judge prepared images.

    temperature : what its logits are divided by
    threshold : of its prediction sets; None where it promises none
    pooling : of the views of a breast
    """

    title: str
    judge: Judge
    temperature: float
    threshold: float | None = None
    pooling: str = DEFAULT_POOLING

    def answers(self, source: Source, rows: np.ndarray) -> SourcePredictions:
        """Its logits of some images."""
        return SourcePredictions(source, rows, self.judge(source.squares[rows]))


@dataclass(frozen=True)
class ModelFigures:
    """One candidate's figures, source by source."""

    title: str
    cesm: Evaluation
    breasts: per_breast.BreastEvaluation | None
    ddsm: PartialEvaluation
    kau: Evaluation

    def as_dict(self) -> dict[str, Any]:
        """As evaluation.json has them."""
        together = self.breasts.as_dict() if self.breasts else None
        return {
            CESM: {**self.cesm.as_dict(), "breasts": together},
            DDSM: self.ddsm.as_dict(),
            KAU: self.kau.as_dict(),
        }


def in_parts(maps: Judge, logits: Judge) -> Judge:
    """Judge squares with a backbone and a head, few at a time."""

    def judge(squares: np.ndarray) -> np.ndarray:
        parts = (squares[start : start + _AT_ONCE] for start in range(0, len(squares), _AT_ONCE))
        return np.concatenate([logits(maps(standardise(part))) for part in parts])

    return judge


def calibrated(title: str, judge: Judge, material: Material) -> ComparedModel:
    """A candidate as the validation patients want it: temperature by both sets, the rest by CDD-CESM."""
    raw = ComparedModel(title, judge, temperature=1.0)
    answers = [raw.answers(material.sources[name], material.parts[name].validation) for name in (CESM, DDSM)]
    possible = np.concatenate([answer.source.possible[answer.rows] for answer in answers])
    temperature = fit_temperature(np.concatenate([answer.logits for answer in answers]), possible)
    known = answers[0]
    probabilities, labels = softmax(known.logits, temperature), known.categories
    threshold = conformal.fit_threshold(probabilities, labels, known.patients)
    pooling = per_breast.choose(probabilities, labels, per_breast.group(known.patients, known.sides))
    return ComparedModel(title, judge, temperature, threshold, pooling)


def of_bundle(path: Path, site: Site, size: int) -> ComparedModel:
    """A bundle as it serves; raises ModelError for one with other categories or another input."""
    bundle = bundles.load(path)
    if bundle.classes != CLASSES or bundle.size != size:
        raise ModelError(
            f"{bundle.name} has the categories {', '.join(bundle.classes)} at {bundle.size} pixels; only models "
            f"with {', '.join(CLASSES)} at {size} pixels can be compared."
        )
    engine = open_engine(bundle, site.engine, site.precision)
    return ComparedModel(bundle.name, in_parts(engine.maps, engine.logits), bundle.temperature)


def of_logistic_regression(weights: Path, site: Site, material: Material, seed: int) -> ComparedModel:
    """Logistic regression on pooled features of the frozen ImageNet stages, learned from CDD-CESM alone."""
    frozen = extractor.from_keras("resnet50", str(weights), site.cache, site.engine, site.precision)
    head, source, parts = LogisticRegressionHead(), material.sources[CESM], material.parts[CESM]
    rows = in_parts(frozen.maps, head.features)(source.squares)
    labels = np.array([CLASSES.index(label) for label in source.labels])
    knobs = TrainConfig(data="", name="")
    trained = head.fit(
        FitArguments(
            features=rows[parts.training],
            labels=labels[parts.training],
            validation_features=rows[parts.validation],
            validation_labels=labels[parts.validation],
            classes=len(CLASSES),
            map_shape=(0, 0, 0),  # no matter to a head on pooled rows
            seed=seed,
            epochs=knobs.epochs,
            patience=knobs.patience,
            batch_size=knobs.batch_size,
            learning_rate=knobs.learning_rate,
            dropout=knobs.dropout,
            loss=knobs.loss,
        )
    )
    judge = in_parts(frozen.maps, lambda maps: trained.logits(head.features(maps)))
    return calibrated("logistic regression", judge, material)


def measure(candidate: ComparedModel, material: Material) -> ModelFigures:
    """A candidate's figures on the test patients, and on all of KAU-BCMD."""
    cesm, ddsm = (
        candidate.answers(material.sources[name], material.parts[name].test) for name in (CESM, DDSM)
    )
    kau = candidate.answers(material.sources[KAU], np.arange(len(material.sources[KAU].labels)))
    return ModelFigures(
        candidate.title,
        exact(cesm, candidate.temperature, candidate.threshold),
        per_breast.measure(
            softmax(cesm.logits, candidate.temperature),
            cesm.categories,
            cesm.patients,
            cesm.sides,
            candidate.pooling,
        ),
        partial(ddsm, candidate.temperature),
        exact(kau, candidate.temperature),
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
