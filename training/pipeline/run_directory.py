"""What a training that was stopped leaves behind, so that ``flask train --resume`` can go on.

A folder ``instance/training/NAME/`` with

    settings.json     all that was asked for; written before anything else
    material.sha256   what was learned from: a digest of rows, labels and patients
    *.npz             the state of each network after its last whole epoch

Each file is replaced in one step. The folder goes when the bundle is written.
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
    """The work folder of one training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def there(self) -> bool:
        """True where a training began and neither finished nor was begun anew."""
        return (self.folder / _SETTINGS).is_file()

    def begin(self, settings: dict[str, Any]) -> bool:
        """Start anew; True where that discards what another training had learned.

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        discarded = any(self.folder.glob("*.npz"))
        self.remove()
        self.keep(settings)
        return discarded

    def keep(self, settings: dict[str, Any]) -> None:
        """Write what was asked for; what else there is stays. Raises OSError where it cannot be written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic.write(self.folder / _SETTINGS, json.dumps(settings, indent=2))

    def settings(self) -> dict[str, Any]:
        """What was asked for; raises TrainingError where there is nothing to go on with."""
        name = self.folder.name
        try:
            settings = json.loads((self.folder / _SETTINGS).read_text("utf-8"))
        except FileNotFoundError:
            raise TrainingError(
                f"There is no interrupted training of a model named {name} to go on with. "
                f"Start one: flask train --data DIR --name {name}"
            ) from None
        except (ValueError, OSError) as error:
            raise TrainingError(
                f"{self.folder / _SETTINGS} cannot be read. Train anew, without --resume."
            ) from error
        if not isinstance(settings, dict):
            raise TrainingError(f"{self.folder / _SETTINGS} is damaged. Train anew, without --resume.")
        return settings

    def hold(self, rows: AnyFeatures, labels: np.ndarray, patients: Sequence[str]) -> None:
        """Keep what is learned from, or compare it with what was kept.

        Raises
        ------
        TrainingError
            The training that was stopped learned from something else.
        """
        digest, path = _digest(rows, labels, patients), self.folder / _MATERIAL
        if not path.is_file():
            atomic.write(path, digest)
        elif path.read_text("ascii", errors="replace") != digest:
            raise TrainingError(
                f"The training of {self.folder.name} that was interrupted learned from other images, labels, "
                "patients or features than there are now. Restore them, or train anew, without --resume."
            )

    def checkpoint(self, network: str) -> Path:
        """The file for a network's state."""
        return self.folder / f"{network}.npz"

    def remove(self) -> None:
        """Take the folder away. The settings go first: without them there is nothing to go on with."""
        if self.folder.exists():
            (self.folder / _SETTINGS).unlink(missing_ok=True)
            shutil.rmtree(self.folder)


def _digest(rows: AnyFeatures, labels: np.ndarray, patients: Sequence[str]) -> str:
    """SHA-256 of rows (n, features), labels (n,) and n patients; rows may lie on disk."""
    hashed = hashlib.sha256(json.dumps([rows.shape, labels.tolist(), list(patients)]).encode())
    for start in range(0, len(rows), _HASHED_AT_ONCE):
        hashed.update(np.ascontiguousarray(rows[start : start + _HASHED_AT_ONCE]).data)
    return hashed.hexdigest()
