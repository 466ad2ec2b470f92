"""State of an unfinished training, from which ``flask train --resume`` continues.

The folder ``instance/training/NAME/`` holds

    settings.json     configuration; written first
    material.sha256   digest of the features, labels and patients that are trained on
    *.npz             checkpoint of each network after its last complete epoch

Each file is replaced in one step. The folder is removed when the bundle has been written.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.files import atomic
from training.data.feature_arrays import AnyFeatures
from training.errors import TrainingError

_SETTINGS, _MATERIAL = "settings.json", "material.sha256"
_HASHED_AT_ONCE = 1024


class RunDirectory:
    """The run directory of one training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def exists(self) -> bool:
        """True if there is an unfinished training."""
        return (self.folder / _SETTINGS).is_file()

    def begin(self, settings: dict[str, Any]) -> bool:
        """Start from scratch; return True if that discards checkpoints of an unfinished training.

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        discarded = any(self.folder.glob("*.npz"))
        self.remove()
        self.save(settings)
        return discarded

    def save(self, settings: dict[str, Any]) -> None:
        """Write the settings and leave all checkpoints; raises OSError if they cannot be written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic.write(self.folder / _SETTINGS, json.dumps(settings, indent=2))

    def settings(self) -> dict[str, Any]:
        """Return the settings; raises TrainingError if there is nothing to continue."""
        name = self.folder.name
        try:
            settings = json.loads((self.folder / _SETTINGS).read_text("utf-8"))
        except FileNotFoundError:
            raise TrainingError(
                f"There is no interrupted training of a model named {name}. "
                f"Start one: flask train --data DIR --name {name}"
            ) from None
        except (ValueError, OSError) as error:
            raise TrainingError(
                f"{self.folder / _SETTINGS} cannot be read. Start over, without --resume."
            ) from error
        if not isinstance(settings, dict):
            raise TrainingError(f"{self.folder / _SETTINGS} is damaged. Start over, without --resume.")
        settings.pop("recipe", None)  # which earlier versions saved
        return settings

    def check_data(self, features: AnyFeatures, labels: np.ndarray, patients: Sequence[str]) -> None:
        """Record the digest of the training data, or compare it with the recorded one.

        Raises
        ------
        TrainingError
            The interrupted training used other data.
        """
        digest, path = data_digest(features, labels, patients), self.folder / _MATERIAL
        if not path.is_file():
            atomic.write(path, digest)
        elif path.read_text("ascii", errors="replace") != digest:
            raise TrainingError(
                f"The interrupted training of {self.folder.name} used different images, labels, patients or "
                "features. Restore them, or start over, without --resume."
            )

    def checkpoint(self, network: str) -> Path:
        """Return the path of a network's checkpoint."""
        return self.folder / f"{network}.npz"

    def remove(self) -> None:
        """Remove the folder, the settings first: without them nothing can be resumed."""
        if self.folder.exists():
            (self.folder / _SETTINGS).unlink(missing_ok=True)
            shutil.rmtree(self.folder)


def data_digest(features: AnyFeatures, labels: np.ndarray, patients: Sequence[str]) -> str:
    """SHA-256 of features (n, channels), labels (n,) and n patients; the features may be on disk."""
    hashed = hashlib.sha256(json.dumps([features.shape, labels.tolist(), list(patients)]).encode())
    for start in range(0, len(features), _HASHED_AT_ONCE):
        hashed.update(np.ascontiguousarray(features[start : start + _HASHED_AT_ONCE]).data)
    return hashed.hexdigest()
