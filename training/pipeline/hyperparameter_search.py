"""Search for hyperparameters of a head by cross-validation on cached features: ``flask tune``.

The test part of ``flask train`` with the same settings is left out before anything else, so that the model trained with
the best settings is tested on patients that had no part in choosing them. Trials are kept in a database, from which a
search continues.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training import progress
from training.config import LOSSES, Site, TrainConfig, defaults, hyperparameters
from training.data import protocol
from training.data.dataset import Dataset
from training.data.feature_arrays import SelectedFeatures
from training.data.loader import load_dataset
from training.engine import losses
from training.errors import TrainingError
from training.evaluation.bootstrap import BootstrapSamples, Interval, interval
from training.evaluation.evaluate import confusions, measures
from training.features.extract import Features
from training.heads import Head, head
from training.heads.pooling import LOCATED
from training.pipeline import train
from training.pipeline.measure import measure

_NETWORK = ("learning_rate", "dropout", "batch_size", "smote_neighbours")
_OTHER = ("smote_neighbours",)
_FOLDS = 5
_REPLICATES = 500
_SETTINGS = "settings"


@dataclass(frozen=True)
class SearchPlan:
    """Plan of a search.

    config : settings that all trials share, with the number of folds
    searched : names of the fields that vary
    objective : figure to maximise, a key of :func:`training.evaluation.evaluate.measures`
    trials : number of trials, those of earlier runs included
    """

    config: TrainConfig
    searched: tuple[str, ...]
    objective: str
    trials: int


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    best : configuration with the best values, folds as given
    values : the values that were found
    reached : the objective with the best values, cross-validated
    given : the objective with the given values; None if they were not among the trials
    trials : number of trials
    """

    best: TrainConfig
    values: dict[str, Any]
    reached: Interval
    given: Interval | None
    trials: int


def plan(config: TrainConfig, searched: Sequence[str], objective: str, trials: int) -> SearchPlan:
    """Check the settings of a search.

    Parameters
    ----------
    searched : names of fields, with hyphens or underscores; those of the head by default

    Raises
    ------
    TrainingError
        A field cannot be searched, or the protocol leaks or fine-tunes.
    """
    kind = head(config.head, config.loss, config.pooling)
    known = [name for name, one in hyperparameters().items() if one.search]
    names = tuple(name.strip().replace("-", "_") for name in searched) or (
        _NETWORK if kind.is_network else _OTHER
    )
    if unknown := [name for name in names if name not in known]:
        raise TrainingError(f"--search takes {', '.join(known)}. Got {', '.join(unknown)}.")
    if not kind.is_network and (of_networks := [name for name in names if name not in _OTHER]):
        raise TrainingError(
            f"The head {config.head} has no {', '.join(of_networks)}. Choose another --search."
        )
    if config.split != "patient" or config.resampling in protocol.RESAMPLED_EARLY:
        raise TrainingError("flask tune needs --split patient and --resampling smote-train or none.")
    if config.fine_tune:
        raise TrainingError("flask tune works on features of a frozen backbone. Leave out --fine-tune.")
    return SearchPlan(replace(config, folds=config.folds or _FOLDS), names, objective, trials)


def run(chosen: SearchPlan, site: Site, storage: Path, say: Callable[[str], None]) -> SearchResult:
    """Search, continuing an earlier search of this name.

    Parameters
    ----------
    storage : SQLite database of the trials

    Raises
    ------
    TrainingError, ModelError
        The data or a hyperparameter is not usable, or the earlier search had other settings.
    """
    config = chosen.config
    protocol.from_config(config)
    kind = head(config.head, config.loss, config.pooling)
    source = train.open_backbone(config, site)
    if config.pooling == LOCATED and source.location is None:
        raise TrainingError(
            "flask tune works on features that do not depend on the split, and fits no location heads. Choose another "
            "--pooling, or the backbone of a model that locates findings."
        )
    loaded = load_dataset(train.find(config), site.cache, source.size)
    train.announce(loaded, say)
    features = train.read(config, site, source, kind, loaded, say)
    if features.dataset.has_sets:
        for loss in LOSSES if "loss" in chosen.searched else (config.loss,):
            losses.check_sets(loss)
    return search(chosen, kind, without_test_part(config, features), storage, say)


def without_test_part(config: TrainConfig, features: Features) -> Features:
    """Return the features without the images that ``flask train`` would hold out as its test set."""
    found = features.dataset
    holdout = replace(config, folds=0)
    parts = protocol.apply(
        holdout,
        features.array,
        found.labels,
        found.patients,
        found.classes,
        label_sets=found.label_sets,
        parts=found.parts,
    ).final
    rows = np.sort(parts.fitted)
    return replace(
        features,
        dataset=Dataset(tuple(found.examples[row] for row in rows)),
        array=SelectedFeatures(features.array, rows),
        images=(),
    )


def search(
    chosen: SearchPlan, kind: Head, features: Features, storage: Path, say: Callable[[str], None]
) -> SearchResult:
    """Run the trials that are left on extracted features; as :func:`run`."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{storage}",
        study_name=chosen.config.name,
        load_if_exists=True,
        direction="maximize",
    )
    _check_settings(study, chosen, features)
    done = len(_complete(study))
    study.sampler = optuna.samplers.TPESampler(seed=chosen.config.seed + len(study.trials))
    given = {name: getattr(chosen.config, name) for name in chosen.searched}
    if not _of(study, given) and all(_within(name, value) for name, value in given.items()):
        study.enqueue_trial(given)
    say(f"Trials done: {done} of {chosen.trials}. {storage.name} keeps them; the same command continues.")

    def trial_value(trial: optuna.Trial) -> float:
        values = {name: _suggest(trial, name) for name in chosen.searched}
        with progress.part(f"trial {trial.number + 1}"):
            found = _measure(replace(chosen.config, **values), chosen.objective, kind, features)
        trial.set_user_attr("interval", asdict(found))
        say(f"trial {trial.number + 1}: {chosen.objective} {found} with {_listed(values)}")
        return found.value

    study.optimize(trial_value, n_trials=max(0, chosen.trials - done))
    return _result(study, chosen, given)


def _measure(config: TrainConfig, objective: str, kind: Head, features: Features) -> Interval:
    """Cross-validate one trial's settings."""
    predictions = measure(config, kind, features).predictions
    samples = BootstrapSamples.of(predictions.patients, _REPLICATES, config.seed)
    return interval(measures(confusions(predictions.calibrated, predictions.labels, samples))[objective])


def _check_settings(study: Any, chosen: SearchPlan, features: Features) -> None:
    """Keep the settings of a new search; raise TrainingError if those of an earlier one differ."""
    found = features.dataset
    settings = json.loads(
        json.dumps(
            {
                **{
                    name: value
                    for name, value in asdict(chosen.config).items()
                    if name not in ("data", "name")
                },
                "search": chosen.searched,
                "objective": chosen.objective,
                "images": [len(found.examples), *np.bincount(found.labels[found.labels >= 0]).tolist()],
            }
        )
    )
    kept = study.user_attrs.get(_SETTINGS)
    if kept is None:
        study.set_user_attr(_SETTINGS, settings)
    elif differing := [name for name in settings if settings[name] != kept.get(name)]:
        raise TrainingError(
            f"An earlier search named {chosen.config.name} had other settings: {', '.join(differing)}. Give the same "
            "settings to continue it, or another --name."
        )


def _suggest(trial: Any, name: str) -> Any:
    """Let the sampler choose a value."""
    described, default = hyperparameters()[name], defaults()[name]
    if isinstance(default, str):
        return trial.suggest_categorical(name, described.search)
    suggest = trial.suggest_float if isinstance(default, float) else trial.suggest_int
    return suggest(name, *described.search, log=described.log)


def _within(name: str, value: Any) -> bool:
    """Return True if a value is one that can be found."""
    searched = hyperparameters()[name].search
    return value in searched if isinstance(value, str) else searched[0] <= value <= searched[1]


def _result(study: Any, chosen: SearchPlan, given: dict[str, Any]) -> SearchResult:
    best, same = study.best_trial, _of(study, given)
    return SearchResult(
        best=replace(chosen.config, folds=0, **best.params),
        values=best.params,
        reached=Interval(**best.user_attrs["interval"]),
        given=Interval(**same[0].user_attrs["interval"]) if same else None,
        trials=len(_complete(study)),
    )


def _complete(study: Any) -> list[Any]:
    """Return the finished trials."""
    return [trial for trial in study.trials if trial.state.name == "COMPLETE"]


def _of(study: Any, values: dict[str, Any]) -> list[Any]:
    """Return the finished trials with these values."""
    return [trial for trial in _complete(study) if trial.params == values]


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )
