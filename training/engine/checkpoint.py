"""Training checkpoint in one file: variables, optimizer state, learning curve so far, best weights.

A Keras model's variables include the states of its random number generators, and the order of the rows follows
from seed and epoch. A resumed training therefore ends with the same weights as an uninterrupted one.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.files import atomic
from training.engine.learning_curve import Epoch

Curve = list[Epoch]


def save(path: Path, model: Any, optimizer: Any, curve: Curve, kept: list[np.ndarray]) -> None:
    """Replace the checkpoint in one step.

    Parameters
    ----------
    model, optimizer : built
    kept : weights of the best epoch

    Raises
    ------
    OSError
        The file cannot be written.
    """
    groups = {
        "model": [np.asarray(variable) for variable in model.variables],
        "optimizer": [np.asarray(variable) for variable in optimizer.variables],
        "kept": kept,
    }
    arrays = {f"{name}-{number}": one for name, group in groups.items() for number, one in enumerate(group)}
    with atomic.replacing(path) as draft, draft.open("wb") as stream:
        np.savez(stream, allow_pickle=False, curve=np.array(curve), **arrays)


def restore(path: Path, model: Any, optimizer: Any) -> tuple[Curve, list[np.ndarray]]:
    """Restore a model and its optimizer, and return the learning curve and the best weights.

    If there is no such file, or it is damaged, of another network or of an earlier version, nothing changes and both
    are empty: the training then begins at its first epoch and ends with the same weights.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        curve = [Epoch(*map(float, values)) for values in arrays.pop("curve")]
        states = [_group(arrays, name) for name in ("model", "optimizer", "kept")]
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return [], []
    variables = [*model.variables, *optimizer.variables]
    values = states[0] + states[1]
    if [one.shape for one in values] != [tuple(variable.shape) for variable in variables]:
        return [], []
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return curve, states[2]


def _group(arrays: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    count = sum(key.startswith(f"{name}-") for key in arrays)
    return [arrays[f"{name}-{number}"] for number in range(count)]
