"""The loop in which all networks are fitted: early stopping, best weights, checkpoints."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from training.engine import loop
from training.engine.learning_curve import Epoch


class Counter(np.ndarray):
    """A variable as Keras has them."""

    def assign(self, value: np.ndarray) -> None:
        self[...] = value


class Fit:
    """A fit whose only weight counts its epochs, with these validation losses."""

    def __init__(self, losses: list[float]) -> None:
        self.losses, self.trained = losses, []
        self.weight = np.zeros(1).view(Counter)
        self.state = SimpleNamespace(variables=[self.weight])

    def epoch(self, number: int) -> Epoch:
        self.trained.append(number)
        self.weight += 1
        return Epoch(1.0, self.losses[number], 0.5, 0.5)

    def run(
        self, path: Path | None = None, *, epochs: int = 9, patience: int | None = 2, before: bool = False
    ):
        return loop.run(
            "head", self.state, SimpleNamespace(variables=[]), self.epoch, lambda: [self.weight.copy()],
            epochs=epochs, patience=patience, checkpoint_path=path,
            validate_before=(lambda: Epoch(np.nan, self.losses[0], np.nan, 0.5)) if before else None,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("losses", "patience", "before", "trained", "best"),
    [
        ([3, 2, 4, 2, 5, 1], 2, False, [0, 1, 2, 3], 1),  # the first of the best, and two more
        ([3, np.nan, 2, 4, 4, 4], 2, False, [0, 1, 2, 3, 4], 2),
        ([3, 4, 4, 4, 4, 4], None, False, [0, 1, 2, 3, 4, 5], 0),  # without early stopping
        ([3, 4, 4, 4, 4, 4], 2, True, [1, 2], 0),  # nothing was better than before
        ([3, 4, 2, 2, 2, 2], 9, True, [1, 2, 3, 4, 5], 2),
    ],
)
def test_it_stops_in_time_and_keeps_the_best_weights(losses, patience, before, trained, best) -> None:
    fit = Fit(losses)
    curve, (kept,) = fit.run(epochs=6 - before, patience=patience, before=before)
    assert fit.trained == trained and len(curve) == len(trained) + before
    assert loop.best_epoch(curve) == best and kept == best + (not before)


def test_it_continues_from_its_checkpoint(tmp_path: Path) -> None:
    losses, path = [5, 4, 3, 6, 7, 8], tmp_path / "head.npz"
    whole = Fit(losses).run(patience=3)
    Fit(losses).run(path, epochs=4, patience=3)
    resumed = Fit(losses)
    curve, kept = resumed.run(path, patience=3)
    assert resumed.trained == [4, 5] and resumed.weight == 6
    assert (curve, kept) == whole
