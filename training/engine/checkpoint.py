"""A network in the middle of its training, in one file: variables, optimizer, losses so far, best weights.

Among a Keras model's variables are the states of its generators of random numbers, so dropout goes on where
it was. The order of the rows follows from seed and epoch. What goes on is therefore what would have been.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.files import atomic

Curve = list[tuple[float, float]]


def save(path: Path, model: Any, optimizer: Any, curve: Curve, kept: list[np.ndarray]) -> None:
    """Replace the file in one step.

    Parameters
    ----------
    model, optimizer : built
    curve : training and validation loss of each epoch
    kept : the weights of the best of them

    Raises
    ------
    OSError
        It cannot be written.
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
    """Put a model and its optimizer into the state of a file, and give its curve and best weights.

    Where there is no such file, or a damaged one, or one of another network, everything stays as it is: the
    training then begins at its first epoch, and ends with the same network.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        curve = [(float(learned), float(reached)) for learned, reached in arrays.pop("curve")]
        states = [_group(arrays, name) for name in ("model", "optimizer", "kept")]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
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
