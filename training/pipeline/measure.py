"""Evaluation of a protocol on extracted features, without writing a model."""

from collections.abc import Callable
from dataclasses import dataclass

from training.config import TrainConfig
from training.data import protocol
from training.engine.learning_curve import LearningCurves
from training.features.extract import Features
from training.heads import Head
from training.pipeline import train
from training.pipeline.result import HeldOutPredictions, joined
from training.pipeline.split_data import prepare


@dataclass(frozen=True)
class Measurement:
    """Predictions of a protocol for its test sets.

    curves : learning curves of the head of the first split
    """

    predictions: HeldOutPredictions
    leak: protocol.Leak
    curves: LearningCurves


def measure(
    config: TrainConfig, kind: Head, features: Features, say: Callable[[str], None] = lambda line: None
) -> Measurement:
    """Fit a head in each split of the protocol and predict the test sets.

    Raises
    ------
    TrainingError
        The data or a hyperparameter is not usable.
    """
    data = prepare(config, features)
    fitted = list(train.predict_splits(config, kind, data, say))
    return Measurement(
        joined([predictions for _, predictions in fitted]), train.leak_of(config, data), fitted[0][0].curves
    )
