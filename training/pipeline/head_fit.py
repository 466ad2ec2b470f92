"""The fit of a head to the training set of a split."""

from birads_app.terms.counts import counted
from training.config import TrainConfig
from training.data import class_weights, smote
from training.engine.fit_arguments import hyperparameters_of
from training.heads import FitArguments, Head, TrainedHead
from training.pipeline.split_data import SplitData


def fit_head(config: TrainConfig, kind: Head, data: SplitData) -> tuple[TrainedHead, tuple[str, ...]]:
    """Resample the training set and fit a head; the validation set is used for early stopping only.

    Images labelled by a set of categories are added after the resampling.
    """
    rows, labels = data.subset(data.split.training)
    validation_features, validation_labels = data.subset(data.split.validation)
    notes = _partial_notes(config, kind, len(data.split.partial_training))
    weights = data.source_weights(data.split.training)
    if config.resampling == "smote-train":
        balanced = smote.balance(
            rows, labels, data.classes, neighbours=config.smote_neighbours, seed=config.seed
        )
        rows, labels, notes = balanced.features, balanced.labels, balanced.notes + notes
        weights = None if weights is None else smote.patients_of(balanced, weights)
    class_counts = labels
    rows, labels, weights = data.with_partial(rows, labels, weights)
    arguments = FitArguments(
        features=rows,
        labels=labels,
        validation_features=validation_features,
        validation_labels=validation_labels,
        classes=len(data.classes),
        map_shape=data.features.map_shape,
        checkpoint=(data.run_directory.checkpoint(f"fold-{data.fold}") if data.run_directory else None),
        class_weights=class_weights.values(config.class_weights, data.classes, class_counts),
        weights=weights,
        **hyperparameters_of(config),
    )
    return kind.fit(arguments), notes


def _partial_notes(config: TrainConfig, kind: Head, count: int) -> tuple[str, ...]:
    """Say how training images that are labelled by a set of categories are used."""
    if not count:
        return ()
    images = counted(count, "training image")
    if not kind.learns_from_sets:
        return (
            f"Not used: {images} labelled by a set of possible categories. The head {config.head} is fitted to images "
            "of one category only.",
        )
    return (f"Used in the fit, but not resampled: {images} labelled by a set of possible categories.",)
