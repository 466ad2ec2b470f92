"""Heads: classifiers on top of the feature maps. A new kind of head is a module here and an entry in HEADS.

A head computes its features from maps, is fitted to them, and freezes itself into a graph from maps to logits.
Nothing outside its module depends on its kind.
"""

from collections.abc import Callable

from training.config import CROSS_ENTROPY, LOSSES
from training.engine.fit_arguments import FitArguments, Head, TrainedHead
from training.errors import TrainingError
from training.heads.cnn_lstm import CnnLstmHead
from training.heads.conv_transformer import ConvTransformerHead
from training.heads.dense import DenseHead
from training.heads.knn import KnnHead
from training.heads.logistic_regression import LogisticRegressionHead
from training.heads.pooling import AVG_MAX, POOLINGS
from training.heads.svm import SvmHead
from training.heads.trees import DecisionTreeHead, RandomForestHead

__all__ = ["HEADS", "NETWORK_HEADS", "DenseHead", "FitArguments", "Head", "TrainedHead", "head"]

HEADS: dict[str, Callable[[str], Head]] = {
    "dense": DenseHead,
    "cnn-lstm": CnnLstmHead,
    "conv-transformer": ConvTransformerHead,
    "knn": KnnHead,
    "svm": SvmHead,
    "logistic-regression": LogisticRegressionHead,
    "random-forest": RandomForestHead,
    "decision-tree": DecisionTreeHead,
}


# Heads that are networks, which are fitted by epochs.
NETWORK_HEADS = ", ".join(name for name, make in HEADS.items() if make(AVG_MAX).is_network)


def head(kind: str, loss: str = CROSS_ENTROPY, pooling: str = AVG_MAX) -> Head:
    """Make a head of this kind that supports this loss and pools in this way.

    Raises
    ------
    TrainingError
        There is no such kind, loss or pooling, or this kind does not support the loss; the message lists the valid
        ones.
    """
    if kind not in HEADS:
        raise TrainingError(f"--head has to be one of {', '.join(HEADS)}. Got {kind!r}.")
    if loss not in LOSSES:
        raise TrainingError(f"--loss has to be one of {', '.join(LOSSES)}. Got {loss!r}.")
    if pooling not in POOLINGS:
        raise TrainingError(f"--pooling has to be one of {', '.join(POOLINGS)}. Got {pooling!r}.")
    classifier = HEADS[kind](pooling)
    if loss != CROSS_ENTROPY and not classifier.is_network:
        raise TrainingError(
            f"The head {kind} does not support --loss {loss}. Choose one of: {NETWORK_HEADS}."
        )
    return classifier
