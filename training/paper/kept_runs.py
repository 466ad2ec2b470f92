"""Finished runs of a reproduction, kept until it is complete, so that the same command continues an interrupted one.

A file is named by the digest of all that a run depends on. It names no patient.
"""

import hashlib
import json
import shutil
import zipfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.files import atomic
from birads_app.version import __version__
from training.config import TrainConfig
from training.features.extract import Features
from training.pipeline.measure import Measurement
from training.pipeline.run_directory import data_digest


@dataclass(frozen=True)
class Run:
    """Predictions of one head under one protocol.

    probabilities : calibrated, float (n, classes)
    labels : true categories, int (n,)
    patients : int (n,), a number for each patient in the order of their IDs
    leak : warning that the protocol leaks; empty if it does not
    learning_curves : of the first split's head, as in ``evaluation.json``
    """

    probabilities: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    leak: str
    learning_curves: dict[str, list[dict[str, float | None]]]

    @classmethod
    def of(cls, measured: Measurement) -> "Run":
        """Take what the figures need of a measurement."""
        predictions = measured.predictions
        return cls(
            predictions.calibrated,
            predictions.labels,
            np.unique(predictions.patients, return_inverse=True)[1],
            measured.leak.message,
            {name: [epoch.as_dict() for epoch in curve] for name, curve in measured.curves.items()},
        )


_ARRAYS = ("probabilities", "labels", "patients")


class KeptRuns:
    """Runs in a folder; methods raise OSError if it cannot be read or written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, config: TrainConfig, features: Features) -> Run | None:
        """Return the run of this configuration on these features; None if it is missing or its file is damaged."""
        try:
            with np.load(self._path(config, features), allow_pickle=False) as file:
                arrays = {name: file[name] for name in _ARRAYS}
                words: dict[str, Any] = json.loads(str(file["words"]))
        except (FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return Run(**arrays, **words)

    def put(self, config: TrainConfig, features: Features, run: Run) -> None:
        """Keep a run."""
        self._folder.mkdir(parents=True, exist_ok=True)
        values = {field.name: getattr(run, field.name) for field in fields(run)}
        arrays = {name: values.pop(name) for name in _ARRAYS}
        with atomic.replacing(self._path(config, features)) as draft, draft.open("wb") as stream:
            np.savez(stream, allow_pickle=False, words=np.array(json.dumps(values)), **arrays)

    def remove(self) -> None:
        """Remove all runs, also those of reproductions with other settings that were not continued."""
        if self._folder.exists():
            shutil.rmtree(self._folder)

    def _path(self, config: TrainConfig, features: Features) -> Path:
        usable = features.dataset
        about = {
            **asdict(config),
            "features": data_digest(features.array, usable.labels_or_sets, usable.patients),
            "version": __version__,
        }
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        return self._folder / f"{digest}.npz"
